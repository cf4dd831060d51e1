/*
** peer_gmime.c - the same messages through GMime, written to a stream that throws away.
** peer_gmime text TEXT HTML TIMES | peer_gmime attachment FILE TIMES | peer_gmime stream FILE TIMES
** `attachment` reads the file once and gives memory, `stream` gives the open file. Prints as mime_bench does.
*/
#include <fcntl.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static GMimePart *leaf(const char *type, const char *subtype, GMimeStream *content, GMimeContentEncoding coding) {
    GMimePart *part = g_mime_part_new_with_type(type, subtype);
    GMimeDataWrapper *data = g_mime_data_wrapper_new_with_stream(content, GMIME_CONTENT_ENCODING_DEFAULT);
    g_mime_part_set_content(part, data);
    g_mime_part_set_content_encoding(part, coding);
    g_object_unref(data);
    g_object_unref(content);
    return part;
}

static GMimePart *text_leaf(const char *subtype, const gchar *p, gsize n) {
    GMimePart *part = leaf("text", subtype, g_mime_stream_mem_new_with_buffer(p, n), GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE);
    g_mime_object_set_content_type_parameter(GMIME_OBJECT(part), "charset", "utf-8");
    return part;
}

static long write_out(GMimeMessage *m, GMimeFormatOptions *format) {
    GMimeStream *nowhere = g_mime_stream_null_new();
    g_mime_object_write_to_stream(GMIME_OBJECT(m), format, nowhere);
    long n = (long)GMIME_STREAM_NULL(nowhere)->written;      /* what it returns counts octets before they are encoded */
    g_object_unref(nowhere);
    return n;
}

int main(int argc, char **argv) {
    int text = argc > 1 && strcmp(argv[1], "text") == 0, stream = argc > 1 && strcmp(argv[1], "stream") == 0;
    if (argc != (text ? 5 : 4)) return 2;
    gchar *first = NULL, *second = NULL;
    gsize first_n = 0, second_n = 0;
    if (!stream && !g_file_get_contents(argv[2], &first, &first_n, NULL)) return 1;
    if (text && !g_file_get_contents(argv[3], &second, &second_n, NULL)) return 1;
    g_mime_init();
    GMimeFormatOptions *format = g_mime_format_options_new();
    g_mime_format_options_set_newline_format(format, GMIME_NEWLINE_FORMAT_DOS);
    long times = atol(argv[argc - 1]), n = 0;
    double began = 0;
    for (long i = -1; i < times; i++) {
        if (i == 0) began = cpu();
        if (i < 0 && stream) continue;
        GMimeMessage *m = g_mime_message_new(TRUE);
        char line[128];
        g_mime_message_add_mailbox(m, GMIME_ADDRESS_TYPE_FROM, "Example", "noreply@mail.example.com");
        snprintf(line, sizeof line, "user%ld@example.com", i);
        g_mime_message_add_mailbox(m, GMIME_ADDRESS_TYPE_TO, NULL, line);
        snprintf(line, sizeof line, "Your order %ld", i);
        g_mime_message_set_subject(m, line, "utf-8");
        snprintf(line, sizeof line, "%ld.5b1f2c3d4e5f60718293a4b5c6d7e8f9@mail.example.com", i);
        g_mime_message_set_message_id(m, line);
        GMimeMultipart *parts = g_mime_multipart_new_with_subtype(text ? "alternative" : "mixed");
        GMimePart *a, *b;
        if (text) {
            a = text_leaf("plain", first, first_n);
            b = text_leaf("html", second, second_n);
        } else {
            GMimeStream *content = stream ? g_mime_stream_fs_new(open(argv[2], O_RDONLY)) : g_mime_stream_mem_new_with_buffer(first, first_n);
            a = text_leaf("plain", "See the attachment.", 19);
            b = leaf("application", "pdf", content, GMIME_CONTENT_ENCODING_BASE64);
            g_mime_part_set_filename(b, "invoice.pdf");
        }
        g_mime_multipart_add(parts, GMIME_OBJECT(a));
        g_mime_multipart_add(parts, GMIME_OBJECT(b));
        g_mime_message_set_mime_part(m, GMIME_OBJECT(parts));
        n = write_out(m, format);
        g_object_unref(a);
        g_object_unref(b);
        g_object_unref(parts);
        g_object_unref(m);
    }
    printf("rate=%.3f octets=%ld\n", (double)times / (cpu() - began), n);
    return n > 0 ? 0 : 1;
}
