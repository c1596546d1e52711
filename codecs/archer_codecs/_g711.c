/* Mu-law to PCM16 and back, compiled: what audioop's functions give, without Python in between.

   ITU-T G.711 (11/88), tables 2a and 2b: a code's complement is a sign, three bits of segment and four of step. The
   uniform values have 14 bits, and stand in the top bits of a PCM16 sample.

   Keeps to the stable ABI of Python 3.11, which no later version takes away. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define VERSION 1  /* of what the functions take and give; g711.py leaves another one alone */
#define BIAS 33    /* of a 14-bit magnitude: each segment then begins at a power of two */
#define LARGEST 8158

static int16_t decoded(unsigned char code)
{
    int bits = ~code & 0xff, segment = bits >> 4 & 7;
    int magnitude = ((2 * (bits & 0x0f) + BIAS) << segment) - BIAS;
    return (int16_t)(4 * (bits & 0x80 ? -magnitude : magnitude));
}

static unsigned char encoded(int16_t sample)
{
    int value = sample >> 2, magnitude = value < 0 ? -value : value;
    int biased = (magnitude > LARGEST ? LARGEST : magnitude) + BIAS;
    int segment = 26 - __builtin_clz((unsigned)biased); /* at least 33: bit 5 is the highest of segment 0 */
    return (unsigned char)~((value < 0 ? 0x80 : 0) | segment << 4 | (biased >> (segment + 1) & 0x0f));
}

static PyObject *mulaw_decode(PyObject *Py_UNUSED(module), PyObject *data)
{
    char *codes;
    Py_ssize_t count;
    if (PyBytes_AsStringAndSize(data, &codes, &count) < 0)
        return NULL;
    PyObject *result = PyBytes_FromStringAndSize(NULL, 2 * count);
    if (result == NULL)
        return NULL;
    unsigned char *to = (unsigned char *)PyBytes_AsString(result);
    for (Py_ssize_t k = 0; k < count; k++) {
        int16_t sample = decoded((unsigned char)codes[k]);
        *to++ = (unsigned char)sample; /* little-endian on any machine */
        *to++ = (unsigned char)(sample >> 8);
    }
    return result;
}

static PyObject *mulaw_encode(PyObject *Py_UNUSED(module), PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0)
        return NULL;
    if (size % 2 != 0)
        return PyErr_Format(PyExc_ValueError, "%zd bytes are no whole number of PCM16 samples", size);
    PyObject *result = PyBytes_FromStringAndSize(NULL, size / 2);
    if (result == NULL)
        return NULL;
    unsigned char *to = (unsigned char *)PyBytes_AsString(result), *from = (unsigned char *)bytes;
    for (; from < (unsigned char *)bytes + size; from += 2)
        *to++ = encoded((int16_t)(uint16_t)(from[0] | from[1] << 8));
    return result;
}

static PyMethodDef functions[] = {
    {"mulaw_decode", (PyCFunction)mulaw_decode, METH_O, "Return the PCM16 samples of mu-law codes."},
    {"mulaw_encode", (PyCFunction)mulaw_encode, METH_O, "Return the mu-law codes of PCM16 samples."},
    {NULL, NULL, 0, NULL},
};

static int fill_module(PyObject *module)
{
    return PyModule_AddIntConstant(module, "VERSION", VERSION);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_g711", NULL, 0, functions, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__g711(void)
{
    return PyModuleDef_Init(&module);
}
