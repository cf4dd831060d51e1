/*
** measure.c - run one client against a sink and say what it cost.
** measure [-r MS] [-w] [-n TIMES] PROGRAM ARGUMENT...
**   @PORT@ in an argument becomes the sink's port     -r MS  a line of that round trip time lies between
**   -w  the sink is an HTTP server                    -n     run the program so many times, one after the other
** Prints one line: what arrived at the sink, the seconds between its first connection and its last arrival, and what the
** client took: wall clock of the whole run, CPU, its largest resident size in KiB, and its exit status.
*/
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *with_port(const char *argument, int port) {
    const char *at = strstr(argument, "@PORT@");
    if (!at) return argument;
    size_t size = strlen(argument) + 8;
    char *out = malloc(size);
    if (!out) bench_die("malloc");
    snprintf(out, size, "%.*s%d%s", (int)(at - argument), argument, port, at + 6);
    return out;
}

static pid_t begin(void) {
    pid_t pid = fork();
    if (pid < 0) bench_die("fork");
    if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

int main(int argc, char **argv) {
    double rtt = 0;
    int times = 1, option, port, near;
    bool web = false;
    while ((option = getopt(argc, argv, "+r:n:w")) != -1) {
        if (option == 'r') rtt = atof(optarg) / 1000;
        else if (option == 'n') times = atoi(optarg);
        else if (option == 'w') web = true;
        else return 2;
    }
    if (optind == argc || times < 1) {
        fprintf(stderr, "usage: measure [-r MS] [-w] [-n TIMES] PROGRAM ARGUMENT...\n");
        return 2;
    }
    tally *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED) bench_die("mmap");
    int listener = bench_listen(&port);
    pid_t sink = begin(), line = 0;
    if (sink == 0) (web ? sink_http : sink_smtp)(listener, t);
    if (rtt > 0) {
        int far = port;
        near = bench_listen(&port);
        line = begin();
        if (line == 0) relay(near, far, rtt);
    }
    for (int i = optind; i < argc; i++) argv[i] = (char *)with_port(argv[i], port);
    double wall = 0, user = 0, sys = 0;
    long rss = 0;
    int status = 0;
    for (int i = 0; i < times && status == 0; i++) {
        struct rusage used;
        double start = bench_now();
        pid_t client = begin();
        if (client == 0) {
            execvp(argv[optind], argv + optind);
            bench_die(argv[optind]);
        }
        if (wait4(client, &status, 0, &used) < 0) bench_die("wait");
        wall += bench_now() - start;
        user += seconds_of(used.ru_utime);
        sys += seconds_of(used.ru_stime);
        if (used.ru_maxrss > rss) rss = used.ru_maxrss;
    }
    kill(sink, SIGKILL);
    if (line > 0) kill(line, SIGKILL);
    printf("arrived=%llu octets=%llu connections=%llu seconds=%.6f wall=%.6f user=%.6f system=%.6f rss=%ld status=%d\n",
           (unsigned long long)t->arrived, (unsigned long long)t->octets, (unsigned long long)t->connections,
           t->ended > t->began ? t->ended - t->began : 0, wall, user, sys, rss,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
