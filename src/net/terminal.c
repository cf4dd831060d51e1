/* terminal.c - a line that a person types unseen. */
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

static void say(const char *text) {
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t n = write(STDERR_FILENO, text, size);
        if (n < 0 && errno != EINTR) return;        /* who cannot be asked can still type */
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
}

/* Wait for a line; false: one of the signals came first, and is still pending. */
static bool wait_for_line(int signals) {
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR) continue;
    return fds[1].revents == 0;
}

/* With the terminal unseen and the signals blocked: what was typed. -1: 'error' says why; -2: a signal came first. */
static ssize_t take(int signals, char *line, int *error) {
    ssize_t n;
    if (!wait_for_line(signals)) return -2;
    do n = read(STDIN_FILENO, line, DM_TYPED_ROOM);
    while (n < 0 && errno == EINTR);
    if (n < 0) *error = errno;
    return n;
}

dm_typed dm_terminal_line(const char *prompt, char line[DM_TYPED_ROOM], size_t *len, dm_why *why) {
    struct termios before, unseen;
    sigset_t set, old;
    ssize_t n = -1;
    int error = 0;
    *len = 0;
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        dm_why_errno(why, errno);
        return DM_TYPED_FAIL;
    }
    unseen = before;
    unseen.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    unseen.c_lflag |= ICANON | ISIG;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) sigaddset(&set, stops[i]);
    do {
        if (sigprocmask(SIG_BLOCK, &set, &old) != 0) {
            dm_why_errno(why, errno);
            return DM_TYPED_FAIL;
        }
        int signals = signalfd(-1, &set, SFD_CLOEXEC);
        /* FLUSH: what was typed before the prompt was seen by everybody, so it is no answer */
        if (signals < 0 || tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen) != 0) {
            error = errno;
            n = -1;
        } else {
            say(prompt);
            n = take(signals, line, &error);
            tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
            say("\n");              /* the line's own end was not shown either */
        }
        if (signals >= 0) close(signals);
        sigprocmask(SIG_SETMASK, &old, NULL);   /* a signal that came does its work here; after a stop we ask again */
    } while (n == -2);
    if (n < 0) {
        dm_why_errno(why, error);
        return DM_TYPED_FAIL;
    }
    if (n == 0) return DM_TYPED_END;
    *len = (size_t)n - (line[n - 1] == '\n');
    return DM_TYPED_LINE;
}
