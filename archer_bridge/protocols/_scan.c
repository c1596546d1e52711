/* The two messages that nearly all are, taken apart at a glance: what scan.py says of them.

   Each function returns None for whatever is not plainly such a message, valid or not: another event, an escape in a
   string, a key twice, a value of an unknown kind, bad base64. The general decoder has the word on all of these.

   Written against the stable ABI of Python 3.11: one binary for all later versions. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define VERSION 1     /* of what the functions take and return; scan.py leaves another one alone */
#define MOST_DIGITS 15 /* fits a long long whatever they are */

typedef struct {
    const unsigned char *bytes;
    Py_ssize_t size;
} Slice;

/* ---- base64: RFC 4648, section 4, with its padding and without stray bits ---- */

#define XX 0xff
static const unsigned char SIXES[256] = {
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, XX, XX, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,
    XX, XX, XX, XX, XX, XX, XX, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, XX, XX, XX, XX, XX, XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX,
};

/* Write what `text` holds to `to`; false when it is not base64, or empty. */
static int decode(Slice text, unsigned char *to)
{
    const unsigned char *from = text.bytes, *last = text.bytes + text.size - 4; /* the quad that may be padded */
    unsigned char bad = 0;
    if (text.size == 0 || text.size % 4 != 0)
        return 0;
    for (; from < last; from += 4, to += 3) {
        unsigned char a = SIXES[from[0]], b = SIXES[from[1]], c = SIXES[from[2]], d = SIXES[from[3]];
        bad |= a | b | c | d;
        to[0] = (unsigned char)(a << 2 | b >> 4);
        to[1] = (unsigned char)(b << 4 | c >> 2);
        to[2] = (unsigned char)(c << 6 | d);
    }
    int pads = last[3] != '=' ? 0 : last[2] != '=' ? 1 : 2;
    unsigned char a = SIXES[last[0]], b = SIXES[last[1]];
    unsigned char c = pads == 2 ? 0 : SIXES[last[2]], d = pads >= 1 ? 0 : SIXES[last[3]];
    bad |= a | b | c | d;
    to[0] = (unsigned char)(a << 2 | b >> 4);
    if (pads < 2)
        to[1] = (unsigned char)(b << 4 | c >> 2);
    if (pads < 1)
        to[2] = (unsigned char)(c << 6 | d);
    int stray = pads == 2 ? b & 0x0f : pads == 1 ? c & 0x03 : 0;
    return bad < 64 && !stray;
}

/* Put what `text` holds, and a copy of it, at `at` of the tuple and behind; return None instead when it is not base64. */
static PyObject *with_audio(PyObject *result, Py_ssize_t at, Slice text)
{
    Py_ssize_t pads = 0;
    while (pads < 2 && pads < text.size && text.bytes[text.size - 1 - pads] == '=')
        pads++;
    PyObject *audio = PyBytes_FromStringAndSize(NULL, text.size / 4 * 3 - (text.size >= 4 ? pads : 0));
    if (audio == NULL) {
        Py_DECREF(result);
        return NULL;
    }
    PyTuple_SetItem(result, at, audio); /* steals it */
    if (!decode(text, (unsigned char *)PyBytes_AsString(audio))) {
        Py_DECREF(result);
        Py_RETURN_NONE;
    }
    PyObject *kept = PyBytes_FromStringAndSize((const char *)text.bytes, text.size);
    if (kept == NULL) {
        Py_DECREF(result);
        return NULL;
    }
    PyTuple_SetItem(result, at + 1, kept);
    return result;
}

/* ---- JSON: RFC 8259, of which only plain strings, whole numbers, and objects of them ---- */

typedef struct {
    const unsigned char *at, *end; /* what is left to read */
} Cursor;

enum kind { TEXT, NUMBER, OBJECT }; /* a NUMBER may be in quotes */

typedef struct Field {
    const char *name;
    enum kind kind;
    struct Field *inner; /* of an object */
    Py_ssize_t count;
    Slice value; /* without its quotes; its bytes are NULL until it is met */
} Field;

static void skip_space(Cursor *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t'))
        in->at++;
}

/* Whether this byte, with space around it, is next; then it is passed. */
static int take(Cursor *in, unsigned char byte)
{
    skip_space(in);
    if (in->at == in->end || *in->at != byte)
        return 0;
    in->at++;
    skip_space(in);
    return 1;
}

static int take_text(Cursor *in, Slice *found)
{
    if (in->at == in->end || *in->at != '"')
        return 0;
    const unsigned char *from = ++in->at;
    while (in->at < in->end && *in->at != '"') {
        if (*in->at < 0x20 || *in->at >= 0x7f || *in->at == '\\')
            return 0;
        in->at++;
    }
    found->bytes = from;
    found->size = in->at - from;
    return in->at++ < in->end;
}

static int take_digits(Cursor *in, Slice *found)
{
    const unsigned char *from = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    found->bytes = from;
    found->size = in->at - from;
    return found->size == 1 || (found->size > 1 && found->size <= MOST_DIGITS && *from != '0');
}

static int is(Slice slice, const char *text, Py_ssize_t size)
{
    return slice.size == size && memcmp(slice.bytes, text, (size_t)size) == 0;
}

static Field *named(Slice name, Field *fields, Py_ssize_t count)
{
    for (Field *field = fields; field < fields + count; field++)
        if (is(name, field->name, (Py_ssize_t)strlen(field->name)))
            return field;
    return NULL;
}

/* Take `{…}` and fill in the fields, each of which is there once; other members are passed over. */
static int take_object(Cursor *in, Field *fields, Py_ssize_t count)
{
    Py_ssize_t met = 0;
    if (!take(in, '{'))
        return 0;
    do {
        Slice name, value = {in->at, 0};
        if (!take_text(in, &name) || !take(in, ':'))
            return 0;
        Field *field = named(name, fields, count);
        int quoted = in->at < in->end && *in->at == '"';
        if (field != NULL && field->kind == OBJECT ? !take_object(in, field->inner, field->count)
            : quoted                               ? !take_text(in, &value)
                     : (field != NULL && field->kind == TEXT) || !take_digits(in, &value))
            return 0;
        if (field != NULL) {
            if (field->value.bytes != NULL)
                return 0;
            field->value = value;
            met++;
        }
    } while (take(in, ','));
    return met == count && take(in, '}');
}

static int to_number(Slice digits, long long *number)
{
    *number = 0;
    if (digits.size == 0 || digits.size > MOST_DIGITS)
        return 0;
    for (Py_ssize_t k = 0; k < digits.size; k++) {
        if (digits.bytes[k] < '0' || digits.bytes[k] > '9')
            return 0;
        *number = *number * 10 + (digits.bytes[k] - '0');
    }
    return 1;
}

/* Whether `message`, bytes or text, is one object with these fields and nothing after it; -1 with an error. */
static int take_message(PyObject *message, Field *fields, Py_ssize_t count)
{
    Py_ssize_t size;
    char *bytes;
    if (PyUnicode_Check(message)) {
        if ((bytes = (char *)PyUnicode_AsUTF8AndSize(message, &size)) == NULL) {
            PyErr_Clear(); /* a lone surrogate */
            return 0;
        }
    } else if (PyBytes_AsStringAndSize(message, &bytes, &size) < 0)
        return -1;
    Cursor in = {(unsigned char *)bytes, (unsigned char *)bytes + size};
    return take_object(&in, fields, count) && in.at == in.end;
}

/* ---- the messages ---- */

static PyObject *twilio_media(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    enum { TRACK, CHUNK, TIMESTAMP, PAYLOAD, BODY };
    enum { EVENT, SEQUENCE, STREAM, MEDIA, ALL };
    Field body[BODY] = {{"track", TEXT}, {"chunk", NUMBER}, {"timestamp", NUMBER}, {"payload", TEXT}};
    Field all[ALL] = {
        {"event", TEXT}, {"sequenceNumber", NUMBER}, {"streamSid", TEXT}, {"media", OBJECT, body, BODY}};
    char *sid;
    Py_ssize_t size;
    long long sequence, timestamp;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "twilio_media(message, stream_sid)");
    if (PyBytes_AsStringAndSize(args[1], &sid, &size) < 0)
        return NULL;
    int taken = take_message(args[0], all, ALL);
    if (taken < 0)
        return NULL;
    if (!taken || !is(all[EVENT].value, "media", 5) || !is(all[STREAM].value, sid, size) ||
        !to_number(all[SEQUENCE].value, &sequence) || !to_number(body[TIMESTAMP].value, &timestamp))
        Py_RETURN_NONE;
    PyObject *result = PyTuple_New(4);
    if (result == NULL)
        return NULL;
    PyObject *first = PyLong_FromLongLong(sequence), *second = PyLong_FromLongLong(timestamp);
    PyTuple_SetItem(result, 0, first);
    PyTuple_SetItem(result, 1, second);
    if (first == NULL || second == NULL) {
        Py_DECREF(result);
        return NULL;
    }
    return with_audio(result, 2, body[PAYLOAD].value);
}

static PyObject *cartesia_audio(PyObject *Py_UNUSED(module), PyObject *message)
{
    enum { TYPE, AUDIO, ALL };
    Field all[ALL] = {{"type", TEXT}, {"audio", TEXT}};
    int taken = take_message(message, all, ALL);
    if (taken < 0)
        return NULL;
    if (!taken || !is(all[TYPE].value, "audio_output", 12))
        Py_RETURN_NONE;
    PyObject *result = PyTuple_New(2);
    return result == NULL ? NULL : with_audio(result, 0, all[AUDIO].value);
}

/* ---- the module ---- */

static PyMethodDef functions[] = {
    {"twilio_media", (PyCFunction)(void (*)(void))twilio_media, METH_FASTCALL, "See scan.py."},
    {"cartesia_audio", (PyCFunction)cartesia_audio, METH_O, "See scan.py."},
    {NULL, NULL, 0, NULL},
};

static int fill_module(PyObject *module)
{
    return PyModule_AddIntConstant(module, "VERSION", VERSION);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_scan", NULL, 0, functions, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__scan(void)
{
    return PyModuleDef_Init(&module);
}
