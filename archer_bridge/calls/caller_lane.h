/* A part of _lanes.c: frames of the caller's. */

#ifndef ARCHER_CALLER_LANE_H
#define ARCHER_CALLER_LANE_H

#include "flows.h"

static PyObject *name_send_audio;

typedef struct {
    PyObject_HEAD
    PyObject *clock, *engine, *converts, *note;
    Inflow *way;
    Outflow *out;
    double frame_ms, follow, creep_s, bytes_per_s;
    long long voiced_share;
    int side;
    char is_open;
} CallerLane;

/* Whether enough of the frame is louder than about -36 dBFS: a code's complement holds 3 bits of segment and 4 of step
   (ITU-T G.711), and segments 0 to 2 are quiet. */
static int is_voiced(const char *codes, Py_ssize_t size, long long share)
{
    long long loud = 0;
    for (Py_ssize_t k = 0; k < size; k++)
        loud += ((~(unsigned char)codes[k] >> 4) & 0x07) > 2;
    return loud * share >= size;
}

/* Uplink.caller, of a frame that is where it was expected. */
static void come(const CallerLane *self, PyObject *data, long long timestamp_ms, double now)
{
    Inflow *way = self->way;
    double length_ms = (double)PyBytes_Size(data) / (self->bytes_per_s / 1000);
    double offset = now - (double)timestamp_ms / 1000;
    way->frames++;
    way->last_ms = timestamp_ms;
    way->last_at = now;
    way->offset = fmin(way->offset + self->creep_s, offset);
    way->ahead_ms = 0;
    way->next_ms += ((double)timestamp_ms - way->next_ms) / self->follow + length_ms;
    if (is_voiced(PyBytes_AsString(data), PyBytes_Size(data), self->voiced_share))
        way->voiced_until_ms = (double)timestamp_ms + length_ms;
}

static int hand_over(const CallerLane *self, PyObject *data, PyObject *text)
{
    int untouched = PyTuple_Size(self->converts) == 0, failed = -1;
    PyObject *audio = converted(self->converts, data);
    if (audio == NULL)
        return -1;
    if (PyObject_IsTrue(audio) == 0) { /* the filter fills */
        Py_DECREF(audio);
        return 0;
    }
    PyObject *send = PyObject_GetAttr(self->engine, name_send_audio);
    if (send != NULL)
        failed = done(PyObject_CallFunctionObjArgs(send, audio, untouched ? text : Py_None, NULL));
    Py_XDECREF(send);
    Py_DECREF(audio);
    return failed;
}

static PyObject *caller_take(CallerLane *self, PyObject *const *args, Py_ssize_t count)
{
    double now;
    if (count != 3 || !PyBytes_Check(args[0]))
        return PyErr_Format(PyExc_TypeError, "take(data: bytes, text: bytes, timestamp_ms: int)");
    long long timestamp_ms = PyLong_AsLongLong(args[2]);
    if (timestamp_ms == -1 && PyErr_Occurred())
        return NULL;
    if (!self->is_open || (double)timestamp_ms - self->way->next_ms > self->frame_ms / 2)
        Py_RETURN_FALSE;
    if (now_is(self->clock, &now) < 0)
        return NULL;
    come(self, args[0], timestamp_ms, now);
    if (hand_over(self, args[0], args[1]) < 0)
        return NULL;
    double began = now - (double)PyBytes_Size(args[0]) / self->bytes_per_s - self->out->trip_s;
    if (self->note != Py_None && note_piece(self->note, self->side, timestamp_ms, args[0], began) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

static PyObject *caller_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"way", "out", "clock", "engine", "converts", "note", "rules", NULL};
    PyObject *way, *out, *clock, *engine, *converts, *note;
    double frame_ms, follow, creep_s, bytes_per_s;
    long long share;
    int side;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!OOO!O(idddLd):CallerLane", names, inflow_type, &way,
                                     outflow_type, &out, &clock, &engine, &PyTuple_Type, &converts, &note, &side,
                                     &frame_ms, &follow, &creep_s, &share, &bytes_per_s))
        return NULL;
    CallerLane *self = (CallerLane *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->way = (Inflow *)Py_NewRef(way);
    self->out = (Outflow *)Py_NewRef(out);
    self->clock = Py_NewRef(clock);
    self->engine = Py_NewRef(engine);
    self->converts = Py_NewRef(converts);
    self->note = Py_NewRef(note);
    self->frame_ms = frame_ms;
    self->follow = follow;
    self->creep_s = creep_s;
    self->voiced_share = share;
    self->bytes_per_s = bytes_per_s;
    self->side = side;
    return (PyObject *)self;
}

static int caller_traverse(CallerLane *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->clock);
    Py_VISIT(self->engine);
    Py_VISIT(self->converts);
    Py_VISIT(self->note);
    return 0;
}

static int caller_clear(CallerLane *self)
{
    Py_CLEAR(self->clock);
    Py_CLEAR(self->engine);
    Py_CLEAR(self->converts);
    Py_CLEAR(self->note);
    Py_CLEAR(self->way);
    Py_CLEAR(self->out);
    return 0;
}

#endif
