/* Whole WebSocket text frames in and out, compiled: what frames.py does, byte for byte.

   Keeps to the stable ABI of Python 3.11, which no later version takes away. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#define VERSION 3 /* of what Reader and Framer take; frames.py leaves another one alone */
#define FINAL_TEXT 0x81
#define MASKED 0x80
#define KEY_SIZE 4
#define KEY_POOL 512

/* Copy `size` bytes, each XORed with its byte of the key; return all of them ORed together. */
static unsigned char copy_masked(char *to, const char *from, Py_ssize_t size, const char *key)
{
    uint64_t wide, word, all = 0;
    Py_ssize_t at = 0;
    memcpy(&wide, key, KEY_SIZE);
    memcpy((char *)&wide + KEY_SIZE, key, KEY_SIZE);
    for (; at + (Py_ssize_t)sizeof word <= size; at += sizeof word) {
        memcpy(&word, from + at, sizeof word);
        word ^= wide;
        all |= word;
        memcpy(to + at, &word, sizeof word);
    }
    for (; at < size; at++) {
        to[at] = from[at] ^ key[at % KEY_SIZE];
        all |= (unsigned char)to[at];
    }
    all |= all >> 32;
    all |= all >> 16;
    return (unsigned char)(all | all >> 8);
}

static int is_text(const char *bytes, Py_ssize_t size)
{
    PyObject *text = PyUnicode_DecodeUTF8(bytes, size, "strict");
    if (text == NULL)
        PyErr_Clear();
    Py_XDECREF(text);
    return text != NULL;
}

/* ---- reading ---- */

typedef struct {
    PyObject_HEAD
    PyObject *sink, *broken, *rest;
    Py_ssize_t limit;
    int masked;
} Reader;

/* Return the message of the frame at `frame`, of which `size` bytes are there, and its end; NULL without an error when
   it is not for us. */
static PyObject *cut_out(const Reader *self, const char *frame, Py_ssize_t size, Py_ssize_t *end)
{
    static const char no_key[KEY_SIZE];
    Py_ssize_t length = (unsigned char)frame[1] ^ (self->masked ? MASKED : 0); /* 127 and more: 8 bytes, or not as agreed */
    Py_ssize_t start = 2 + (self->masked ? KEY_SIZE : 0);
    if (length >= 126) {
        if (length != 126 || size < 4)
            return NULL;
        length = (unsigned char)frame[2] << 8 | (unsigned char)frame[3];
        start += 2;
    }
    *end = start + length;
    if (*end > size || length > self->limit)
        return NULL;
    PyObject *message = PyBytes_FromStringAndSize(NULL, length);
    if (message == NULL)
        return NULL;
    char *bytes = PyBytes_AsString(message);
    unsigned char all = copy_masked(bytes, frame + start, length, self->masked ? frame + start - KEY_SIZE : no_key);
    if (all >= 0x80 && !is_text(bytes, length))
        Py_CLEAR(message);
    return message;
}

/* Give the error that the sink raised to `broken`; one that is no Exception goes on up. */
static int tell_broken(const Reader *self)
{
    PyObject *type, *error, *traceback;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return -1;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *result = PyObject_CallFunctionObjArgs(self->broken, error, NULL);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Give the messages at the start of `bytes` to the sink; return how many bytes that took, -1 with an error. */
static Py_ssize_t take_messages(const Reader *self, const char *bytes, Py_ssize_t size)
{
    Py_ssize_t taken = 0, end;
    while (taken + 2 <= size && (unsigned char)bytes[taken] == FINAL_TEXT) {
        PyObject *message = cut_out(self, bytes + taken, size - taken, &end);
        if (message == NULL)
            break;
        taken += end;
        PyObject *result = PyObject_CallFunctionObjArgs(self->sink, message, NULL);
        Py_DECREF(message);
        if (result == NULL) {
            if (tell_broken(self) < 0)
                return -1;
            break;
        }
        Py_DECREF(result);
    }
    return PyErr_Occurred() ? -1 : taken;
}

static PyObject *reader_received(Reader *self, PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0)
        return NULL;
    Py_ssize_t taken = take_messages(self, bytes, size);
    if (taken < 0)
        return NULL;
    if (taken == size)
        Py_RETURN_NONE;
    PyObject *left = PyBytes_FromStringAndSize(bytes + taken, size - taken);
    if (left == NULL)
        return NULL;
    PyObject *result = PyObject_CallFunctionObjArgs(self->rest, left, NULL);
    Py_DECREF(left);
    return result;
}

static PyObject *reader_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"", "", "", "masked", "limit", NULL};
    PyObject *sink, *broken, *rest;
    int masked;
    Py_ssize_t limit;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OOO$pn:Reader", names, &sink, &broken, &rest, &masked, &limit))
        return NULL;
    Reader *self = (Reader *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->sink = Py_NewRef(sink);
    self->broken = Py_NewRef(broken);
    self->rest = Py_NewRef(rest);
    self->masked = masked;
    self->limit = limit;
    return (PyObject *)self;
}

static int reader_traverse(Reader *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->sink);
    Py_VISIT(self->broken);
    Py_VISIT(self->rest);
    return 0;
}

static int reader_clear(Reader *self)
{
    Py_CLEAR(self->sink);
    Py_CLEAR(self->broken);
    Py_CLEAR(self->rest);
    return 0;
}

/* ---- writing ---- */

typedef struct {
    PyObject_HEAD
    PyObject *send, *wait, *new_keys, *keys;
    Py_ssize_t keys_used;
    char is_open;
} Framer;

/* Return four bytes that no frame was masked with; NULL with an error. */
static const char *next_key(Framer *self)
{
    char *pool = NULL;
    Py_ssize_t size = 0;
    if (self->keys != NULL && PyBytes_AsStringAndSize(self->keys, &pool, &size) < 0)
        return NULL;
    if (self->keys_used + KEY_SIZE > size) {
        PyObject *fresh = PyObject_CallFunction(self->new_keys, "i", KEY_POOL);
        if (fresh == NULL)
            return NULL;
        Py_XDECREF(self->keys);
        self->keys = fresh;
        self->keys_used = 0;
        if (PyBytes_AsStringAndSize(fresh, &pool, &size) < 0)
            return NULL;
        if (size < KEY_SIZE) {
            PyErr_SetString(PyExc_ValueError, "Framer: new_keys gave less than one key");
            return NULL;
        }
    }
    pool += self->keys_used;
    self->keys_used += KEY_SIZE;
    return pool;
}

static Py_ssize_t write_head(unsigned char *head, Py_ssize_t length, int masked)
{
    head[0] = FINAL_TEXT;
    head[1] = masked ? MASKED : 0;
    if (length < 126) {
        head[1] |= (unsigned char)length;
        return 2;
    }
    Py_ssize_t octets = length <= 0xffff ? 2 : 8;
    head[1] |= octets == 2 ? 126 : 127;
    for (Py_ssize_t k = 0; k < octets; k++)
        head[2 + k] = (unsigned char)((uint64_t)length >> 8 * (octets - 1 - k));
    return 2 + octets;
}

static PyObject *make_frame(Framer *self, PyObject *message)
{
    char *bytes;
    Py_ssize_t length;
    unsigned char head[10 + KEY_SIZE];
    const char *key = NULL;
    if (PyBytes_AsStringAndSize(message, &bytes, &length) < 0)
        return NULL;
    if (self->new_keys != Py_None && (key = next_key(self)) == NULL)
        return NULL;
    Py_ssize_t start = write_head(head, length, key != NULL);
    if (key != NULL) {
        memcpy(head + start, key, KEY_SIZE);
        start += KEY_SIZE;
    }
    PyObject *frame = PyBytes_FromStringAndSize(NULL, start + length);
    if (frame == NULL)
        return NULL;
    char *to = PyBytes_AsString(frame);
    memcpy(to, head, (size_t)start);
    if (key != NULL)
        copy_masked(to + start, bytes, length, key);
    else
        memcpy(to + start, bytes, (size_t)length);
    return frame;
}

static PyObject *framer_write(Framer *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    if (count < 1 || count + named > 2 ||
        (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "droppable") != 0)) {
        PyErr_SetString(PyExc_TypeError, "write(message, droppable=False)");
        return NULL;
    }
    if (!self->is_open)
        return PyObject_CallFunctionObjArgs(self->wait, args[0], count + named == 2 ? args[1] : Py_False, NULL);
    PyObject *frame = make_frame(self, args[0]);
    if (frame == NULL)
        return NULL;
    PyObject *result = PyObject_CallFunctionObjArgs(self->send, frame, NULL);
    Py_DECREF(frame);
    if (result == NULL)
        return NULL;
    Py_DECREF(result);
    Py_RETURN_NONE;
}

static PyObject *framer_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    PyObject *send, *wait, *new_keys;
    if (!PyArg_ParseTuple(args, "OOO:Framer", &send, &wait, &new_keys))
        return NULL;
    Framer *self = (Framer *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->send = Py_NewRef(send);
    self->wait = Py_NewRef(wait);
    self->new_keys = Py_NewRef(new_keys);
    self->is_open = 1;
    return (PyObject *)self;
}

static int framer_traverse(Framer *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->send);
    Py_VISIT(self->wait);
    Py_VISIT(self->new_keys);
    return 0;
}

static int framer_clear(Framer *self)
{
    Py_CLEAR(self->send);
    Py_CLEAR(self->wait);
    Py_CLEAR(self->new_keys);
    Py_CLEAR(self->keys);
    return 0;
}

/* ---- the module ---- */

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ((inquiry)PyType_GetSlot(type, Py_tp_clear))(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyMethodDef reader_methods[] = {
    {"received", (PyCFunction)reader_received, METH_O, "Give the messages to the sink, and what is left to `rest`."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, "Reader(sink, broken, rest, *, masked, limit): see frames.FrameReader."},
    {Py_tp_new, reader_new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, reader_traverse},
    {Py_tp_clear, reader_clear},
    {Py_tp_methods, reader_methods},
    {0, NULL},
};

static PyMethodDef framer_methods[] = {
    {"write", (PyCFunction)(void (*)(void))framer_write, METH_FASTCALL | METH_KEYWORDS, "Frame a message and send it."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef framer_members[] = {
    {"is_open", T_BOOL, offsetof(Framer, is_open), 0, "Whether messages are sent; else they go to `wait`."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot framer_slots[] = {
    {Py_tp_doc, "Framer(send, wait, new_keys): see frames.Framer."},
    {Py_tp_new, framer_new},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, framer_traverse},
    {Py_tp_clear, framer_clear},
    {Py_tp_methods, framer_methods},
    {Py_tp_members, framer_members},
    {0, NULL},
};

#define FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC)
static PyType_Spec reader_spec = {"archer_bridge.adapters._frames.Reader", sizeof(Reader), 0, FLAGS, reader_slots};
static PyType_Spec framer_spec = {"archer_bridge.adapters._frames.Framer", sizeof(Framer), 0, FLAGS, framer_slots};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, name, type) < 0;
    Py_XDECREF(type);
    return failed;
}

static int fill_module(PyObject *module)
{
    int failed = add_type(module, "Reader", &reader_spec) || add_type(module, "Framer", &framer_spec);
    return failed || PyModule_AddIntConstant(module, "VERSION", VERSION) < 0 ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_frames", NULL, 0, NULL, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__frames(void)
{
    return PyModuleDef_Init(&module);
}
