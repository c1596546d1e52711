/* The messages that nearly all are, taken apart at a glance and put together: what scan.py says of them.

   A glance passes over whatever is not plainly such a message, valid or not: another event, an escape in a
   string, a key twice, a value of an unknown kind, bad base64. The general decoder has the word on all of these.

   Keeps to the stable ABI of Python 3.11, which no later version takes away. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>
#include <structmember.h>

#include "glance.h"
#include "sinks.h"

#define VERSION 4 /* of what the functions take and return; scan.py leaves another one alone */

/* Return a tuple of `count` numbers, the audio, and a copy of its text; None when that is not base64. */
static PyObject *found(const long long *numbers, Py_ssize_t count, Slice payload)
{
    PyObject *audio = decoded(payload);
    if (audio == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    PyObject *result = PyTuple_New(count + 2);
    if (result == NULL) {
        Py_DECREF(audio);
        return NULL;
    }
    for (Py_ssize_t k = 0; k < count; k++)
        PyTuple_SetItem(result, k, PyLong_FromLongLong(numbers[k])); /* steals it */
    PyTuple_SetItem(result, count, audio);
    PyTuple_SetItem(result, count + 1, copied(payload));
    if (PyErr_Occurred())
        Py_CLEAR(result);
    return result;
}

static PyObject *twilio_media(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    long long numbers[2];
    Slice payload;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "twilio_media(message, stream_sid)");
    int plain = is_media(args[0], args[1], &numbers[0], &numbers[1], &payload);
    if (plain < 0)
        return NULL;
    if (!plain)
        Py_RETURN_NONE;
    return found(numbers, 2, payload);
}

static PyObject *cartesia_audio(PyObject *Py_UNUSED(module), PyObject *message)
{
    Slice payload;
    int plain = is_audio(message, &payload);
    if (plain < 0)
        return NULL;
    if (!plain)
        Py_RETURN_NONE;
    return found(NULL, 0, payload);
}

/* ---- the module ---- */

static void plain_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ((inquiry)PyType_GetSlot(type, Py_tp_clear))(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef functions[] = {
    {"twilio_media", (PyCFunction)(void (*)(void))twilio_media, METH_FASTCALL, "See scan.py."},
    {"cartesia_audio", (PyCFunction)cartesia_audio, METH_O, "See scan.py."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef media_methods[] = {
    {"receive", (PyCFunction)media_receive, METH_O, "Take a message."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef audio_methods[] = {
    {"receive", (PyCFunction)audio_receive, METH_O, "Take a message."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef sender_methods[] = {
    {"send", (PyCFunction)(void (*)(void))sender_send, METH_FASTCALL, "Send audio, or its base64 form."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef sequence_members[] = {
    {"last", T_LONGLONG, offsetof(Sequence, last), 0, "The highest number so far."},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef audio_members[] = {
    {"is_open", T_BOOL, offsetof(AudioSink, is_open), 0, "Whether audio is looked for; else all is for `otherwise`."},
    {NULL, 0, 0, 0, NULL},
};

static PyMemberDef sender_members[] = {
    {"write", T_OBJECT, offsetof(Sender, write), 0, "Takes messages; while it is None audio is for `otherwise`."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot sequence_slots[] = {
    {Py_tp_doc, "See scan.Sequence."},
    {Py_tp_dealloc, plain_dealloc},
    {Py_tp_members, sequence_members},
    {0, NULL},
};

#define HOLDS(name, about)                                                                                             \
    static PyType_Slot name##_slots[] = {                                                                              \
        {Py_tp_doc, about},          {Py_tp_new, name##_new},     {Py_tp_dealloc, dealloc},                            \
        {Py_tp_traverse, name##_traverse}, {Py_tp_clear, name##_clear}, {Py_tp_methods, name##_methods},               \
        {Py_tp_members, name##_members},   {0, NULL},                                                                  \
    }
static PyMemberDef media_members[] = {{NULL, 0, 0, 0, NULL}};
HOLDS(media, "MediaSink(stream_sid, sequence, take, otherwise): see scan.py.");
HOLDS(audio, "AudioSink(make, on_event, otherwise): see scan.py.");
HOLDS(sender, "Sender(head, tail, otherwise, droppable): see scan.py.");

#define FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC)
#define NAMED(name) "archer_bridge.protocols._scan." name
static PyType_Spec sequence_spec = {NAMED("Sequence"), sizeof(Sequence), 0, Py_TPFLAGS_DEFAULT, sequence_slots};
static PyType_Spec media_spec = {NAMED("MediaSink"), sizeof(MediaSink), 0, FLAGS, media_slots};
static PyType_Spec audio_spec = {NAMED("AudioSink"), sizeof(AudioSink), 0, FLAGS, audio_slots};
static PyType_Spec sender_spec = {NAMED("Sender"), sizeof(Sender), 0, FLAGS, sender_slots};

static PyObject *added_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type != NULL && PyModule_AddObjectRef(module, name, type) < 0)
        Py_CLEAR(type);
    return type;
}

static int fill_module(PyObject *module)
{
    sequence_type = added_type(module, "Sequence", &sequence_spec);
    PyObject *media = added_type(module, "MediaSink", &media_spec);
    PyObject *audio = added_type(module, "AudioSink", &audio_spec);
    PyObject *sender = added_type(module, "Sender", &sender_spec);
    int made = sequence_type != NULL && media != NULL && audio != NULL && sender != NULL;
    Py_XDECREF(media);
    Py_XDECREF(audio);
    Py_XDECREF(sender);
    return made && PyModule_AddIntConstant(module, "VERSION", VERSION) == 0 ? 0 : -1;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_scan", NULL, 0, functions, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&module);
}
