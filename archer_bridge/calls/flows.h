/* A part of _lanes.c: what is known of each direction, and what both lanes do. */

#ifndef ARCHER_FLOWS_H
#define ARCHER_FLOWS_H

static PyObject *inflow_type, *outflow_type; /* as long as the process */

/* ---- the flows: what is known of each direction ---- */

typedef struct {
    PyObject_HEAD
    long long frames, missing, last_ms, ahead_ms;
    double last_at, offset, next_ms, voiced_until_ms;
} Inflow;

typedef struct {
    PyObject_HEAD
    long long accepted, sent, acknowledged, marked, messages;
    double trip_s, careful_trip_s, zero, ends, accepted_at, sent_at;
} Outflow;

static PyObject *inflow_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(keywords))
{
    Inflow *self = (Inflow *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0); /* all zero */
    if (self != NULL) {
        self->offset = INFINITY;
        self->voiced_until_ms = -INFINITY;
    }
    return (PyObject *)self;
}

static PyObject *outflow_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(keywords))
{
    Outflow *self = (Outflow *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self != NULL)
        self->accepted_at = self->sent_at = -INFINITY;
    return (PyObject *)self;
}

static void plain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---- what both lanes do ---- */

static int now_is(PyObject *clock, double *now)
{
    PyObject *time = PyObject_CallNoArgs(clock);
    if (time == NULL)
        return -1;
    *now = PyFloat_AsDouble(time);
    Py_DECREF(time);
    return *now == -1.0 && PyErr_Occurred() ? -1 : 0;
}

/* Return what the functions make of `data`, one after the other. */
static PyObject *converted(PyObject *functions, PyObject *data)
{
    PyObject *audio = Py_NewRef(data);
    Py_ssize_t count = PyTuple_Size(functions);
    Py_INCREF(functions); /* what they call may give the lane others */
    for (Py_ssize_t k = 0; k < count && audio != NULL; k++) {
        PyObject *next = PyObject_CallFunctionObjArgs(PyTuple_GetItem(functions, k), audio, NULL);
        Py_DECREF(audio);
        audio = next;
    }
    Py_DECREF(functions);
    return audio;
}

/* Forget a call's result; -1 when there was none. */
static int done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int note_piece(PyObject *note, int side, long long place, PyObject *audio, double at)
{
    PyObject *piece = Py_BuildValue("(iLOd)", side, place, audio, at);
    if (piece == NULL)
        return -1;
    int failed = done(PyObject_CallFunctionObjArgs(note, piece, NULL));
    Py_DECREF(piece);
    return failed;
}

#endif
