/* process.c - child processes through pidfd and signals through signalfd. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};

int dm_signal_number(const char *name) {
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(signals[i].name, name) == 0) return signals[i].number;
    return 0;
}

const char *dm_signal_name(int signal) {
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].number == signal) return signals[i].name;
    return NULL;
}

bool dm_child_start(dm_child *c, dm_loop *l, char *const argv[], char *const env[], dm_why *why) {
    posix_spawnattr_t attributes;
    sigset_t none, all;
    *c = (dm_child){.watch.fd = -1};
    int error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        dm_why_errno(why, error);
        return false;
    }
    /* what dm_signals_open() blocks here must not stay blocked there */
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = posix_spawnp(&c->pid, argv[0], NULL, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        dm_why_errno(why, error);
        return false;
    }
    int fd = (int)syscall(SYS_pidfd_open, c->pid, 0);       /* the system call: glibc has the function since 2.36 only */
    error = fd < 0 ? errno : dm_watch_open(&c->watch, l, fd);
    if (error == 0) return true;
    kill(c->pid, SIGKILL);          /* nobody could wait for it */
    while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) continue;
    dm_why_errno(why, error);
    return false;
}

bool dm_child_over(dm_child *c) {
    int status = 0;
    pid_t got = 0;
    if (c->over || c->pid <= 0) return true;
    do got = waitpid(c->pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0) {
        c->watch.readable = false;
        return false;
    }
    c->over = true;
    /* ECHILD: somebody ignores SIGCHLD, so the status is lost */
    c->status = got < 0 ? 255 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

bool dm_child_kill(dm_child *c, int signal, dm_why *why) {
    if (dm_child_over(c)) {         /* its number may be somebody else's by now */
        dm_why_set(why, "the process has ended");
        return false;
    }
    if (kill(c->pid, signal) == 0) return true;
    dm_why_errno(why, errno);
    return false;
}

void dm_child_close(dm_child *c) {
    if (c->watch.loop) dm_child_over(c);        /* leaves no zombie if it has ended */
    dm_watch_close(&c->watch);
}

bool dm_signals_open(dm_watch *w, dm_loop *l, const sigset_t *set, dm_why *why) {
    *w = (dm_watch){.fd = -1};
    int error = sigprocmask(SIG_BLOCK, set, NULL) != 0 ? errno : 0;
    int fd = error ? -1 : signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (!error) error = fd < 0 ? errno : dm_watch_open(w, l, fd);
    if (error) dm_why_errno(why, error);
    return error == 0;
}

int dm_signals_take(dm_watch *w) {
    struct signalfd_siginfo info;
    ssize_t n;
    do n = read(w->fd, &info, sizeof info);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof info) return (int)info.ssi_signo;
    w->readable = false;
    return 0;
}
