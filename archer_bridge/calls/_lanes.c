/* The express lanes: what lanes.py tells, compiled.

   A lane carries a plain frame, or leaves it before anything has changed: uplink.py, downlink.py and playout.py have
   the word on all others, and each line here that changes a flow is one of theirs.

   Keeps to the stable ABI of Python 3.11, which no later version takes away. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <structmember.h>

#include "caller_lane.h"
#include "engine_lane.h"
#include "flows.h"

#define VERSION 2 /* of what the types take; lanes.py leaves another one alone */

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ((inquiry)PyType_GetSlot(type, Py_tp_clear))(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

#define COUNT(type, field) {#field, T_LONGLONG, offsetof(type, field), 0, NULL}
#define TIME(type, field) {#field, T_DOUBLE, offsetof(type, field), 0, NULL}

static PyMemberDef inflow_members[] = {
    COUNT(Inflow, frames), COUNT(Inflow, missing), COUNT(Inflow, last_ms), COUNT(Inflow, ahead_ms),
    TIME(Inflow, last_at), TIME(Inflow, offset), TIME(Inflow, next_ms), TIME(Inflow, voiced_until_ms),
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef outflow_members[] = {
    COUNT(Outflow, accepted), COUNT(Outflow, sent), COUNT(Outflow, acknowledged), COUNT(Outflow, marked),
    COUNT(Outflow, messages), TIME(Outflow, trip_s), TIME(Outflow, careful_trip_s), TIME(Outflow, zero),
    TIME(Outflow, ends), TIME(Outflow, accepted_at), TIME(Outflow, sent_at), {NULL, 0, 0, 0, NULL},
};

static PyMemberDef caller_members[] = {
    {"is_open", T_BOOL, offsetof(CallerLane, is_open), 0, "Whether frames are taken."},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef engine_members[] = {
    {"is_open", T_BOOL, offsetof(EngineLane, is_open), 0, "Whether audio is taken; else it goes to `otherwise`."},
    {"taken", T_LONGLONG, offsetof(EngineLane, taken), READONLY, "Events that did not go to `otherwise`."},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef engine_getset[] = {
    {"converts", (getter)get_converts, (setter)set_converts, "What audio goes through, a tuple of functions.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef caller_methods[] = {
    {"take", (PyCFunction)(void (*)(void))caller_take, METH_FASTCALL, "Carry a frame over; False: it was left."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef engine_methods[] = {
    {"take", (PyCFunction)engine_take, METH_O, "Take an event, or give it to `otherwise`."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot inflow_slots[] = {
    {Py_tp_doc, "See lanes.Inflow."},
    {Py_tp_new, inflow_new},
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_members, inflow_members},
    {0, NULL},
};

static PyType_Slot outflow_slots[] = {
    {Py_tp_doc, "See lanes.Outflow."},
    {Py_tp_new, outflow_new},
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_members, outflow_members},
    {0, NULL},
};

static PyType_Slot caller_slots[] = {
    {Py_tp_doc, "CallerLane(way, out, clock, engine, converts, note, rules): see lanes.py."},
    {Py_tp_new, caller_new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, caller_traverse},
    {Py_tp_clear, caller_clear},
    {Py_tp_methods, caller_methods},
    {Py_tp_members, caller_members},
    {0, NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_doc, "EngineLane(out, audio_type, otherwise, play, clock, send, mark, restart, note, rules): see lanes.py."},
    {Py_tp_new, engine_new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, engine_traverse},
    {Py_tp_clear, engine_clear},
    {Py_tp_methods, engine_methods},
    {Py_tp_members, engine_members},
    {Py_tp_getset, engine_getset},
    {0, NULL},
};

#define PLAIN Py_TPFLAGS_DEFAULT
#define HOLDS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC)
static PyType_Spec inflow_spec = {"archer_bridge.calls._lanes.Inflow", sizeof(Inflow), 0, PLAIN, inflow_slots};
static PyType_Spec outflow_spec = {"archer_bridge.calls._lanes.Outflow", sizeof(Outflow), 0, PLAIN, outflow_slots};
static PyType_Spec caller_spec = {"archer_bridge.calls._lanes.CallerLane", sizeof(CallerLane), 0, HOLDS, caller_slots};
static PyType_Spec engine_spec = {"archer_bridge.calls._lanes.EngineLane", sizeof(EngineLane), 0, HOLDS, engine_slots};

static PyObject *added_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type != NULL && PyModule_AddObjectRef(module, name, type) < 0)
        Py_CLEAR(type);
    return type;
}

static int fill_module(PyObject *module)
{
    name_send_audio = PyUnicode_InternFromString("send_audio");
    name_data = PyUnicode_InternFromString("data");
    name_text = PyUnicode_InternFromString("text");
    inflow_type = added_type(module, "Inflow", &inflow_spec);
    outflow_type = added_type(module, "Outflow", &outflow_spec);
    PyObject *caller = added_type(module, "CallerLane", &caller_spec);
    PyObject *engine = added_type(module, "EngineLane", &engine_spec);
    int made = name_send_audio && name_data && name_text && inflow_type && outflow_type && caller && engine;
    Py_XDECREF(caller);
    Py_XDECREF(engine);
    return made && PyModule_AddIntConstant(module, "VERSION", VERSION) == 0 ? 0 : -1;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_lanes", NULL, 0, NULL, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lanes(void)
{
    return PyModuleDef_Init(&module);
}
