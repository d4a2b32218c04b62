// SPDX-License-Identifier: GPL-3.0-or-later
// A process that does nothing, to stand for a product's daemon in the lab: a program of its own, so that /proc/PID/exe names it.
//   DAEMON [-f] [-p PIDFILE] [-s SOCKET] [-a DIR]     -f stays in the foreground; -a asks to decide over each opening of DIR, as a scanner does
// It ends on SIGTERM, unless /etc/fake-kaspersky/ignore-term exists when it starts.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *pid_file, *socket_file, *guarded;

static void leave(int signal_number) {
    (void)signal_number;
    if (pid_file) unlink(pid_file);
    if (socket_file) unlink(socket_file);
    _exit(0);
}

// The parent ends when the child closes the returned handle, so that pid file and socket are there when systemd calls it started.
static int detach(void) {
    int ends[2];
    char none;
    if (pipe(ends) != 0) _exit(1);
    pid_t child = fork();
    if (child < 0) _exit(1);
    if (child > 0) {
        close(ends[1]);
        _exit(read(ends[0], &none, 1) != 0);
    }
    close(ends[0]);
    setsid();
    if (chdir("/") != 0 || !freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(1);
    return ends[1];
}

int main(int argc, char **argv) {
    int option, foreground = 0, ready = -1;
    while ((option = getopt(argc, argv, "fp:s:a:")) != -1) {
        if (option == 'f') foreground = 1;
        else if (option == 'p') pid_file = optarg;
        else if (option == 's') socket_file = optarg;
        else if (option == 'a') guarded = optarg;
        else return 2;
    }
    signal(SIGTERM, access("/etc/fake-kaspersky/ignore-term", F_OK) == 0 ? SIG_IGN : leave);
    if (!foreground) ready = detach();
    if (pid_file) {
        FILE *file = fopen(pid_file, "w");
        if (!file) return 1;
        fprintf(file, "%d\n", (int)getpid());
        fclose(file);
    }
    if (socket_file) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int handle = socket(AF_UNIX, SOCK_STREAM, 0);
        strncpy(address.sun_path, socket_file, sizeof address.sun_path - 1);
        unlink(socket_file);
        if (handle < 0 || bind(handle, (struct sockaddr *)&address, sizeof address) != 0 || listen(handle, 1) != 0) return 1;
    }
    if (guarded) {
        int handle = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
        if (handle < 0 || fanotify_mark(handle, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, guarded) != 0) return 1;
    }
    if (ready >= 0) close(ready);
    for (;;) pause();
}
