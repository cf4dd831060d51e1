/*
** peer_curl.c - the same mails through libcurl: its SMTP, its MIME, its connection cache.
** peer_curl PORT CONNECTIONS MAILS TEXT [ATTACHMENT]      files; the attachment is read once and given as memory
*/
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text, *attachment;
static size_t text_n, attachment_n;
static char url[64];

static char *load(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        perror(path);
        exit(1);
    }
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    if (!p || fread(p, 1, *n, f) != *n) exit(1);
    fclose(f);
    return p;
}

typedef struct job {
    CURL *easy;
    curl_mime *mime;
    struct curl_slist *to, *headers;
} job;

static void compose(job *j, long number) {
    char line[256];
    curl_mime_free(j->mime);
    curl_slist_free_all(j->to);
    curl_slist_free_all(j->headers);
    snprintf(line, sizeof line, "<user%ld@example.com>", number);
    j->to = curl_slist_append(NULL, line);
    j->headers = curl_slist_append(NULL, "From: Example <noreply@mail.example.com>");
    snprintf(line, sizeof line, "To: user%ld@example.com", number);
    j->headers = curl_slist_append(j->headers, line);
    snprintf(line, sizeof line, "Subject: Your order %ld", number);
    j->headers = curl_slist_append(j->headers, line);
    j->headers = curl_slist_append(j->headers, "Date: Mon, 23 Nov 2026 12:00:00 +0000");
    snprintf(line, sizeof line, "Message-ID: <%ld.5b1f2c3d4e5f60718293a4b5c6d7e8f9@mail.example.com>", number);
    j->headers = curl_slist_append(j->headers, line);
    j->mime = curl_mime_init(j->easy);
    curl_mimepart *part = curl_mime_addpart(j->mime);
    curl_mime_data(part, text, text_n);
    curl_mime_type(part, "text/plain; charset=utf-8");
    curl_mime_encoder(part, "quoted-printable");
    if (attachment) {
        part = curl_mime_addpart(j->mime);
        curl_mime_data(part, attachment, attachment_n);
        curl_mime_type(part, "application/pdf");
        curl_mime_filename(part, "invoice.pdf");
        curl_mime_encoder(part, "base64");
    }
    curl_easy_setopt(j->easy, CURLOPT_MAIL_RCPT, j->to);
    curl_easy_setopt(j->easy, CURLOPT_HTTPHEADER, j->headers);
    curl_easy_setopt(j->easy, CURLOPT_MIMEPOST, j->mime);
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: peer_curl PORT CONNECTIONS MAILS TEXT [ATTACHMENT]\n");
        return 2;
    }
    int count = atoi(argv[2]), running, queued;
    long mails = atol(argv[3]), begun = 0, over = 0, failed = 0;
    text = load(argv[4], &text_n);
    if (argc > 5) attachment = load(argv[5], &attachment_n);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%s", argv[1]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)count);
    job *jobs = calloc((size_t)count, sizeof *jobs);
    if (!jobs) return 1;
    for (int i = 0; i < count && begun < mails; i++) {
        CURL *e = jobs[i].easy = curl_easy_init();
        curl_easy_setopt(e, CURLOPT_URL, url);
        curl_easy_setopt(e, CURLOPT_MAIL_FROM, "<noreply@mail.example.com>");
        curl_easy_setopt(e, CURLOPT_PRIVATE, &jobs[i]);
        curl_easy_setopt(e, CURLOPT_PROXY, "");
        compose(&jobs[i], begun++);
        curl_multi_add_handle(multi, e);
    }
    while (over < mails) {
        curl_multi_perform(multi, &running);
        for (CURLMsg *m; (m = curl_multi_info_read(multi, &queued));) {
            if (m->msg != CURLMSG_DONE) continue;
            CURL *e = m->easy_handle;
            job *j;
            over++;
            if (m->data.result != CURLE_OK) {
                failed++;
                fprintf(stderr, "peer_curl: %s\n", curl_easy_strerror(m->data.result));
            }
            curl_easy_getinfo(e, CURLINFO_PRIVATE, (char **)&j);
            curl_multi_remove_handle(multi, e);
            if (begun < mails) {
                compose(j, begun++);
                curl_multi_add_handle(multi, e);
            }
        }
        if (over < mails) curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    for (int i = 0; i < count; i++) {
        curl_easy_cleanup(jobs[i].easy);
        curl_mime_free(jobs[i].mime);
        curl_slist_free_all(jobs[i].to);
        curl_slist_free_all(jobs[i].headers);
    }
    curl_multi_cleanup(multi);
    return failed > 0;
}
