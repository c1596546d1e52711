/* A part of _scan.c: who takes a socket's messages, and who sends them. */

#ifndef ARCHER_SINKS_H
#define ARCHER_SINKS_H

#include "glance.h"

/* ---- sinks: who takes messages, one for the plain ones and one for all others ---- */

typedef struct {
    PyObject_HEAD
    long long last;
} Sequence;

static PyObject *sequence_type; /* lives as long as the process */

typedef struct {
    PyObject_HEAD
    PyObject *stream_sid, *take, *otherwise;
    Sequence *sequence;
} MediaSink;

/* Let `take` have a frame; 1 when it did, 0 when it left it, -1 with an error. */
static int offer(const MediaSink *self, Slice payload, long long timestamp_ms)
{
    int taken = -1;
    PyObject *audio = decoded(payload);
    if (audio == NULL)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *text = copied(payload), *time = PyLong_FromLongLong(timestamp_ms);
    if (text != NULL && time != NULL) {
        PyObject *result = PyObject_CallFunctionObjArgs(self->take, audio, text, time, NULL);
        taken = result == NULL ? -1 : result == Py_True;
        Py_XDECREF(result);
    }
    Py_XDECREF(time);
    Py_XDECREF(text);
    Py_DECREF(audio);
    return taken;
}

static PyObject *media_receive(MediaSink *self, PyObject *message)
{
    long long number, timestamp_ms;
    Slice payload;
    int taken = is_media(message, self->stream_sid, &number, &timestamp_ms, &payload);
    if (taken > 0)
        taken = number == self->sequence->last + 1 ? offer(self, payload, timestamp_ms) : 0;
    if (taken < 0)
        return NULL;
    if (!taken)
        return PyObject_CallFunctionObjArgs(self->otherwise, message, NULL);
    self->sequence->last = number;
    Py_RETURN_NONE;
}

static PyObject *media_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *stream_sid, *sequence, *take, *otherwise;
    if (!PyArg_ParseTuple(args, "SO!OO:MediaSink", &stream_sid, sequence_type, &sequence, &take, &otherwise))
        return NULL;
    MediaSink *self = (MediaSink *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->stream_sid = Py_NewRef(stream_sid);
    self->sequence = (Sequence *)Py_NewRef(sequence);
    self->take = Py_NewRef(take);
    self->otherwise = Py_NewRef(otherwise);
    return (PyObject *)self;
}

static int media_traverse(MediaSink *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->take);
    Py_VISIT(self->otherwise);
    return 0;
}

static int media_clear(MediaSink *self)
{
    Py_CLEAR(self->stream_sid);
    Py_CLEAR(self->sequence);
    Py_CLEAR(self->take);
    Py_CLEAR(self->otherwise);
    return 0;
}

typedef struct {
    PyObject_HEAD
    PyObject *make, *on_event, *otherwise;
    char is_open;
} AudioSink;

static PyObject *audio_receive(AudioSink *self, PyObject *message)
{
    Slice payload;
    int plain = self->is_open ? is_audio(message, &payload) : 0;
    PyObject *audio = plain > 0 ? decoded(payload) : NULL, *event = NULL;
    if (audio != NULL) {
        PyObject *text = copied(payload);
        if (text != NULL)
            event = PyObject_CallFunctionObjArgs(self->make, audio, text, NULL);
        Py_XDECREF(text);
        Py_DECREF(audio);
    }
    if (event == NULL)
        return PyErr_Occurred() ? NULL : PyObject_CallFunctionObjArgs(self->otherwise, message, NULL);
    PyObject *result = PyObject_CallFunctionObjArgs(self->on_event, event, NULL);
    Py_DECREF(event);
    return result;
}

static PyObject *audio_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *make, *on_event, *otherwise;
    if (!PyArg_ParseTuple(args, "OOO:AudioSink", &make, &on_event, &otherwise))
        return NULL;
    AudioSink *self = (AudioSink *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->make = Py_NewRef(make);
    self->on_event = Py_NewRef(on_event);
    self->otherwise = Py_NewRef(otherwise);
    return (PyObject *)self;
}

static int audio_traverse(AudioSink *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->make);
    Py_VISIT(self->on_event);
    Py_VISIT(self->otherwise);
    return 0;
}

static int audio_clear(AudioSink *self)
{
    Py_CLEAR(self->make);
    Py_CLEAR(self->on_event);
    Py_CLEAR(self->otherwise);
    return 0;
}

/* ---- sending: base64 in a message ---- */

typedef struct {
    PyObject_HEAD
    PyObject *head, *tail, *otherwise, *write;
    int droppable;
} Sender;

static int bytes_of(PyObject *object, Slice *slice)
{
    char *bytes;
    if (PyBytes_AsStringAndSize(object, &bytes, &slice->size) < 0)
        return -1;
    slice->bytes = (unsigned char *)bytes;
    return 0;
}

/* Return head, base64 and tail; the base64 is `text`, or that of `data` if this is None. */
static PyObject *message_of(const Sender *self, PyObject *data, PyObject *text)
{
    Slice head, tail, middle;
    int is_ready = text != Py_None;
    if (bytes_of(self->head, &head) < 0 || bytes_of(self->tail, &tail) < 0 ||
        bytes_of(is_ready ? text : data, &middle) < 0)
        return NULL;
    Py_ssize_t size = is_ready ? middle.size : (middle.size + 2) / 3 * 4;
    PyObject *message = PyBytes_FromStringAndSize(NULL, head.size + size + tail.size);
    if (message == NULL)
        return NULL;
    char *to = PyBytes_AsString(message);
    memcpy(to, head.bytes, (size_t)head.size);
    if (is_ready)
        memcpy(to + head.size, middle.bytes, (size_t)size);
    else
        encode(middle, to + head.size);
    memcpy(to + head.size + size, tail.bytes, (size_t)tail.size);
    return message;
}

static PyObject *sender_send(Sender *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "send(data: bytes, text: bytes | None)");
    if (self->write == NULL || self->write == Py_None)
        return PyObject_CallFunctionObjArgs(self->otherwise, args[0], args[1], NULL);
    PyObject *message = message_of(self, args[0], args[1]);
    if (message == NULL)
        return NULL;
    PyObject *write = Py_NewRef(self->write); /* what it calls may give this sender another one */
    PyObject *result = PyObject_CallFunctionObjArgs(write, message, self->droppable ? Py_True : NULL, NULL);
    Py_DECREF(write);
    Py_DECREF(message);
    return result;
}

static PyObject *sender_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *head, *tail, *otherwise;
    int droppable;
    if (!PyArg_ParseTuple(args, "SSOp:Sender", &head, &tail, &otherwise, &droppable))
        return NULL;
    Sender *self = (Sender *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->head = Py_NewRef(head);
    self->tail = Py_NewRef(tail);
    self->otherwise = Py_NewRef(otherwise);
    self->write = Py_NewRef(Py_None);
    self->droppable = droppable;
    return (PyObject *)self;
}

static int sender_traverse(Sender *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->otherwise);
    Py_VISIT(self->write);
    return 0;
}

static int sender_clear(Sender *self)
{
    Py_CLEAR(self->head);
    Py_CLEAR(self->tail);
    Py_CLEAR(self->otherwise);
    Py_CLEAR(self->write);
    return 0;
}

#endif
