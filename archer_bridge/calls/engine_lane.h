/* A part of _lanes.c: audio of the engine's. */

#ifndef ARCHER_ENGINE_LANE_H
#define ARCHER_ENGINE_LANE_H

#include "flows.h"

static PyObject *name_data, *name_text;

typedef struct {
    PyObject_HEAD
    PyObject *audio_type, *otherwise, *play, *clock, *send, *mark, *restart, *converts, *note;
    Outflow *out;
    double pause_s, hair, moment, bytes_per_s;
    long long taken, lead, mark_every, smallest;
    int side;
    char is_open;
} EngineLane;

/* Whether Playout.pass_on would take this audio: nothing waits, and it fits into the lead. */
static int fits(const EngineLane *self, long long size, double now)
{
    const Outflow *out = self->out;
    long long left = out->sent - out->acknowledged;
    long long ahead = out->sent - (long long)((now - out->zero) * self->bytes_per_s + self->hair);
    long long in_flight = ahead < left ? ahead : left;
    return size >= self->smallest && (in_flight > 0 ? in_flight : 0) + size <= self->lead && out->accepted == out->sent;
}

static int is_dry(const EngineLane *self, double now)
{
    const Outflow *out = self->out;
    return out->zero + (double)out->sent / self->bytes_per_s < now - self->moment ||
           out->ends < now + out->careful_trip_s - self->moment;
}

/* Tell a method of the ledger or the downlink the time. */
static int tell(PyObject *method, double now)
{
    PyObject *time = PyFloat_FromDouble(now);
    if (time == NULL)
        return -1;
    int failed = done(PyObject_CallFunctionObjArgs(method, time, NULL));
    Py_DECREF(time);
    return failed;
}

/* Playout.pass_on and Downlink.play, of audio that fits. */
static int send_on(const EngineLane *self, PyObject *audio, PyObject *text, double now)
{
    Outflow *out = self->out;
    long long start = out->accepted, size = PyBytes_Size(audio);
    if (is_dry(self, now) && tell(self->restart, now) < 0)
        return -1;
    out->ends += (double)size / self->bytes_per_s;
    out->accepted += size;
    out->sent += size;
    out->messages++;
    int wants_mark = out->sent - out->marked >= self->mark_every || now - out->sent_at >= self->pause_s;
    if (done(PyObject_CallFunctionObjArgs(self->send, audio, text, NULL)) < 0 ||
        (wants_mark && tell(self->mark, now) < 0))
        return -1;
    out->accepted_at = out->sent_at = now;
    if (self->note == Py_None)
        return 0;
    double plays_at = out->zero + (double)start / self->bytes_per_s + out->trip_s;
    return note_piece(self->note, self->side, start, audio, plays_at);
}

static int play(const EngineLane *self, PyObject *audio, PyObject *text, double now)
{
    if (PyBytes_Check(audio) && fits(self, PyBytes_Size(audio), now))
        return send_on(self, audio, text, now);
    PyObject *time = PyFloat_FromDouble(now);
    if (time == NULL)
        return -1;
    int failed = done(PyObject_CallFunctionObjArgs(self->play, audio, text, time, NULL));
    Py_DECREF(time);
    return failed;
}

static PyObject *engine_take(EngineLane *self, PyObject *event)
{
    double now;
    int failed = -1;
    if (!self->is_open || (PyObject *)Py_TYPE(event) != self->audio_type)
        return PyObject_CallFunctionObjArgs(self->otherwise, event, NULL);
    self->taken++;
    int untouched = PyTuple_Size(self->converts) == 0;
    if (now_is(self->clock, &now) < 0)
        return NULL;
    PyObject *data = PyObject_GetAttr(event, name_data), *text = PyObject_GetAttr(event, name_text);
    PyObject *audio = data == NULL || text == NULL ? NULL : converted(self->converts, data);
    if (audio != NULL)
        failed = PyObject_IsTrue(audio) == 0 ? 0 : play(self, audio, untouched ? text : Py_None, now);
    Py_XDECREF(audio);
    Py_XDECREF(text);
    Py_XDECREF(data);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_converts(EngineLane *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->converts);
}

static int set_converts(EngineLane *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyTuple_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "converts is a tuple of functions");
        return -1;
    }
    PyObject *old = self->converts;
    self->converts = Py_NewRef(value);
    Py_XDECREF(old);
    return 0;
}

static PyObject *engine_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"out",  "audio_type", "otherwise", "play", "clock", "send",
                            "mark", "restart",    "note",      "rules", NULL};
    PyObject *out, *audio_type, *otherwise, *play, *clock, *send, *mark, *restart, *note;
    double pause_s, hair, moment, bytes_per_s;
    long long lead, mark_every, smallest;
    int side;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OOOOOOOO(iLLLdddd):EngineLane", names, outflow_type, &out,
                                     &audio_type, &otherwise, &play, &clock, &send, &mark, &restart, &note, &side,
                                     &lead, &mark_every, &smallest, &pause_s, &hair, &moment, &bytes_per_s))
        return NULL;
    EngineLane *self = (EngineLane *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->out = (Outflow *)Py_NewRef(out);
    self->audio_type = Py_NewRef(audio_type);
    self->otherwise = Py_NewRef(otherwise);
    self->play = Py_NewRef(play);
    self->clock = Py_NewRef(clock);
    self->send = Py_NewRef(send);
    self->mark = Py_NewRef(mark);
    self->restart = Py_NewRef(restart);
    self->note = Py_NewRef(note);
    self->side = side;
    self->lead = lead;
    self->mark_every = mark_every;
    self->smallest = smallest;
    self->pause_s = pause_s;
    self->hair = hair;
    self->moment = moment;
    self->bytes_per_s = bytes_per_s;
    self->converts = PyTuple_New(0);
    if (self->converts == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int engine_traverse(EngineLane *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->audio_type);
    Py_VISIT(self->otherwise);
    Py_VISIT(self->play);
    Py_VISIT(self->clock);
    Py_VISIT(self->send);
    Py_VISIT(self->mark);
    Py_VISIT(self->restart);
    Py_VISIT(self->converts);
    Py_VISIT(self->note);
    return 0;
}

static int engine_clear(EngineLane *self)
{
    Py_CLEAR(self->audio_type);
    Py_CLEAR(self->otherwise);
    Py_CLEAR(self->play);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->send);
    Py_CLEAR(self->mark);
    Py_CLEAR(self->restart);
    Py_CLEAR(self->converts);
    Py_CLEAR(self->note);
    Py_CLEAR(self->out);
    return 0;
}

#endif
