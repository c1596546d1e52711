/* The live path of the resampler, compiled: the same filters, the same sums, the same bits as resample.py without it.

   A Line keeps the samples that later outputs still need. Output i, counted from the start of the current period, is
   the sum of `length` samples from sample (i * down + offset) / up on, times the filter of phase (i * down + offset)
   % up. Coefficients are integers over 2**24, so every partial sum is exact in a double and neither the order of
   summation nor a fused multiply-add can change a bit (polyphase.py).

   Keeps to the stable ABI of Python 3.11, which no later version takes away. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* The widest vectors the processor has, chosen when the module is loaded; an "arch=" would mean that very processor. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("fma", "default")))
#else
#define WIDE
#endif

typedef double Four __attribute__((vector_size(4 * sizeof(double)), aligned(sizeof(double)), may_alias));

#define VERSION 1         /* of what Line takes; resample.py leaves another one alone */
#define STEP 8            /* a filter is padded with zeros to a multiple of this: polyphase.PADDING */
#define SHORT_FRAME 4096 /* samples that are converted on the stack */

typedef struct {
    PyObject_HEAD
    Py_buffer table; /* up filters of `padded` doubles, shared by all lines of a ratio */
    int16_t *samples;
    Py_ssize_t up, down, offset, length, padded;
    Py_ssize_t done;     /* outputs of the current period that are out */
    Py_ssize_t used;     /* bytes in `samples` */
    Py_ssize_t capacity; /* bytes */
} Line;

static int16_t read_sample(const int16_t *at)
{
    const unsigned char *bytes = (const unsigned char *)at; /* little-endian on any machine */
    return (int16_t)(uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline __attribute__((always_inline)) double sum(const double *samples, const double *taps, Py_ssize_t padded)
{
    Four a = {0}, b = {0};
    for (Py_ssize_t k = 0; k < padded; k += STEP) {
        a += *(const Four *)(samples + k) * *(const Four *)(taps + k);
        b += *(const Four *)(samples + k + 4) * *(const Four *)(taps + k + 4);
    }
    a += b;
    return (a[0] + a[1]) + (a[2] + a[3]);
}

WIDE static void outputs(const Line *self, const double *samples, Py_ssize_t ready, char *out)
{
    const double *taps = self->table.buf;
    Py_ssize_t position = self->done * self->down + self->offset;
    Py_ssize_t from = position / self->up, phase = position % self->up;
    Py_ssize_t step = self->down / self->up, part = self->down % self->up;
    for (Py_ssize_t i = self->done; i < ready; i++) {
        double value = sum(samples + from, taps + phase * self->padded, self->padded);
        value = value < -32768.0 ? -32768.0 : value > 32767.0 ? 32767.0 : value;
        uint16_t whole = (uint16_t)(int16_t)lrint(value); /* to nearest, ties to even */
        *out++ = (char)(whole & 0xff);
        *out++ = (char)(whole >> 8);
        from += step;
        phase += part;
        if (phase >= self->up) {
            phase -= self->up;
            from++;
        }
    }
}

static int make_room(Line *self, Py_ssize_t size)
{
    if (size <= self->capacity)
        return 0;
    int16_t *grown = PyMem_Realloc(self->samples, (size_t)size);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->samples = grown;
    self->capacity = size;
    return 0;
}

static PyObject *line_feed(Line *self, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (make_room(self, self->used + view.len) < 0) {
        PyBuffer_Release(&view);
        return NULL;
    }
    memcpy((char *)self->samples + self->used, view.buf, (size_t)view.len);
    self->used += view.len;
    PyBuffer_Release(&view);

    Py_ssize_t count = self->used / 2;
    Py_ssize_t reach = (count - self->length + 1) * self->up - self->offset; /* below reach / down outputs are complete */
    Py_ssize_t ready = reach > 0 ? (reach + self->down - 1) / self->down : 0;
    if (ready <= self->done)
        return PyBytes_FromStringAndSize(NULL, 0);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (ready - self->done) * 2);
    if (result == NULL)
        return NULL;
    double on_stack[SHORT_FRAME + STEP], *values = on_stack;
    if (count > SHORT_FRAME && (values = PyMem_Malloc((size_t)(count + STEP) * sizeof(double))) == NULL) {
        Py_DECREF(result);
        return PyErr_NoMemory();
    }
    for (Py_ssize_t k = 0; k < count; k++)
        values[k] = read_sample(self->samples + k);
    memset(values + count, 0, STEP * sizeof(double)); /* what the padding is multiplied with */
    outputs(self, values, ready, PyBytes_AsString(result));
    if (values != on_stack)
        PyMem_Free(values);

    Py_ssize_t over = ready / self->up * self->down * 2; /* bytes of the periods that are over */
    self->done = ready % self->up;
    self->used -= over;
    memmove(self->samples, (char *)self->samples + over, (size_t)self->used);
    return result;
}

static PyObject *line_drop_split(Line *self, PyObject *Py_UNUSED(ignored))
{
    self->used -= self->used % 2;
    Py_RETURN_NONE;
}

static PyObject *line_sizeof(Line *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t((Py_ssize_t)sizeof(Line) + self->capacity);
}

static PyObject *line_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(keywords))
{
    Py_buffer table;
    Py_ssize_t up, down, offset, length, silence, done;
    if (!PyArg_ParseTuple(args, "y*nnnnnn:Line", &table, &up, &down, &offset, &length, &silence, &done))
        return NULL;
    Line *self = NULL;
    Py_ssize_t padded = (length + STEP - 1) / STEP * STEP;
    if (up < 1 || down < 1 || offset < 0 || length < 1 || silence < 0 || done < 0 ||
        table.len != up * padded * (Py_ssize_t)sizeof(double))
        PyErr_SetString(PyExc_ValueError, "Line(taps, up, down, offset, length, silence, done): sizes do not fit");
    else
        self = (Line *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0); /* all zero */
    if (self == NULL) {
        PyBuffer_Release(&table);
        return NULL;
    }
    self->table = table;
    self->up = up;
    self->down = down;
    self->offset = offset;
    self->done = done;
    self->length = length;
    self->padded = padded;
    self->used = silence * 2;
    if (make_room(self, self->used + 1) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    memset(self->samples, 0, (size_t)self->used);
    return (PyObject *)self;
}

static void line_dealloc(PyObject *object)
{
    Line *self = (Line *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyBuffer_Release(&self->table);
    PyMem_Free(self->samples);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef line_methods[] = {
    {"feed", (PyCFunction)line_feed, METH_O, "Take int16 samples as bytes and return the outputs they complete."},
    {"drop_split", (PyCFunction)line_drop_split, METH_NOARGS, "Forget half a sample at the end."},
    {"__sizeof__", (PyCFunction)line_sizeof, METH_NOARGS, "Bytes of this line alone; the taps are shared."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot line_slots[] = {
    {Py_tp_doc, "Line(taps, up, down, offset, length, silence, done): one channel of int16, resampled up / down."},
    {Py_tp_new, line_new},
    {Py_tp_dealloc, line_dealloc},
    {Py_tp_methods, line_methods},
    {0, NULL},
};

static PyType_Spec line_spec = {"archer_codecs._fir.Line", sizeof(Line), 0, Py_TPFLAGS_DEFAULT, line_slots};

static int fill_module(PyObject *module)
{
    PyObject *line = PyType_FromSpec(&line_spec);
    int failed = line == NULL || PyModule_AddObjectRef(module, "Line", line) < 0;
    Py_XDECREF(line);
    return failed || PyModule_AddIntConstant(module, "VERSION", VERSION) < 0 ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fir", NULL, 0, NULL, module_slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__fir(void)
{
    return PyModuleDef_Init(&module);
}
