/* A part of _scan.c: a glance at one message. */

#ifndef ARCHER_GLANCE_H
#define ARCHER_GLANCE_H

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

/* Return what `text` holds; NULL without an error when it is not base64. */
static PyObject *decoded(Slice text)
{
    Py_ssize_t pads = 0;
    while (pads < 2 && pads < text.size && text.bytes[text.size - 1 - pads] == '=')
        pads++;
    PyObject *audio = PyBytes_FromStringAndSize(NULL, text.size / 4 * 3 - (text.size >= 4 ? pads : 0));
    if (audio != NULL && !decode(text, (unsigned char *)PyBytes_AsString(audio)))
        Py_CLEAR(audio);
    return audio;
}

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Write the base64 form of `data`, 4 characters for each 3 bytes begun. */
static void encode(Slice data, char *to)
{
    const unsigned char *from = data.bytes;
    Py_ssize_t left = data.size;
    for (; left >= 3; left -= 3, from += 3, to += 4) {
        to[0] = DIGITS[from[0] >> 2];
        to[1] = DIGITS[(from[0] & 0x03) << 4 | from[1] >> 4];
        to[2] = DIGITS[(from[1] & 0x0f) << 2 | from[2] >> 6];
        to[3] = DIGITS[from[2] & 0x3f];
    }
    if (left > 0) {
        unsigned char second = left > 1 ? from[1] : 0;
        to[0] = DIGITS[from[0] >> 2];
        to[1] = DIGITS[(from[0] & 0x03) << 4 | second >> 4];
        to[2] = left > 1 ? DIGITS[(second & 0x0f) << 2] : '=';
        to[3] = '=';
    }
}

static PyObject *copied(Slice text)
{
    return PyBytes_FromStringAndSize((const char *)text.bytes, text.size);
}

/* ---- JSON: RFC 8259, of which only plain strings, whole numbers, and objects of them ---- */

typedef struct {
    const unsigned char *at, *end; /* what is left to read */
} Cursor;

enum kind { TEXT, NUMBER, OBJECT, BASE64 }; /* a NUMBER may be in quotes; BASE64 is not looked at yet */

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

/* Take a string up to the first quote. It may hold what no plain string does, an escaped quote at its end, too: all of
   that is not base64, which whoever decodes it finds. */
static int take_base64(Cursor *in, Slice *found)
{
    const unsigned char *quote = NULL;
    if (in->at < in->end && *in->at == '"')
        quote = memchr(in->at + 1, '"', (size_t)(in->end - in->at - 1));
    if (quote == NULL)
        return 0;
    found->bytes = in->at + 1;
    found->size = quote - found->bytes;
    in->at = quote + 1;
    return 1;
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

static int take_object(Cursor *in, Field *fields, Py_ssize_t count);

/* Take what a field, or an unknown member, is to hold. */
static int take_value(Cursor *in, const Field *field, Slice *value)
{
    enum kind kind = field == NULL ? NUMBER : field->kind; /* of an unknown member either is plain */
    if (kind == OBJECT)
        return take_object(in, field->inner, field->count);
    if (kind == BASE64)
        return take_base64(in, value);
    int quoted = in->at < in->end && *in->at == '"';
    return quoted ? take_text(in, value) : kind == NUMBER && take_digits(in, value);
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
        if (!take_value(in, field, &value))
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

/* Whether `message` is a frame of this stream; -1 with an error. */
static int is_media(PyObject *message, PyObject *stream_sid, long long *sequence, long long *timestamp, Slice *payload)
{
    enum { TRACK, CHUNK, TIMESTAMP, PAYLOAD, BODY };
    enum { EVENT, SEQUENCE, STREAM, MEDIA, ALL };
    Field body[BODY] = {{"track", TEXT}, {"chunk", NUMBER}, {"timestamp", NUMBER}, {"payload", BASE64}};
    Field all[ALL] = {
        {"event", TEXT}, {"sequenceNumber", NUMBER}, {"streamSid", TEXT}, {"media", OBJECT, body, BODY}};
    char *sid;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(stream_sid, &sid, &size) < 0)
        return -1;
    int taken = take_message(message, all, ALL);
    if (taken <= 0)
        return taken;
    *payload = body[PAYLOAD].value;
    return is(all[EVENT].value, "media", 5) && is(all[STREAM].value, sid, size) &&
           to_number(all[SEQUENCE].value, sequence) && to_number(body[TIMESTAMP].value, timestamp);
}

/* Whether `message` is the engine's audio; -1 with an error. */
static int is_audio(PyObject *message, Slice *payload)
{
    enum { TYPE, AUDIO, ALL };
    Field all[ALL] = {{"type", TEXT}, {"audio", BASE64}};
    int taken = take_message(message, all, ALL);
    *payload = all[AUDIO].value;
    return taken <= 0 ? taken : is(all[TYPE].value, "audio_output", 12);
}

#endif
