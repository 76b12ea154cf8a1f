/*
 * Compiled once for each program (-DPROGRAM=\"nft\"): starts Debian's program of that name, which lies in debian.d beside
 * this file, with the loader and the libraries from that same folder, so that it runs on a host that lacks it and on any C library.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
  static char here[PATH_MAX], loader[PATH_MAX], program[PATH_MAX], libraries[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
  if (length <= 0) { /* no /proc yet: the name it was started by is the next best */
    if (argc < 1 || strlen(argv[0]) >= sizeof here)
      return 126;
    strcpy(here, argv[0]);
  }
  char *slash = strrchr(here, '/');
  if (slash == NULL) {
    fputs(PROGRAM ": cannot tell where this program lies; start it by its full path\n", stderr);
    return 126;
  }
  *slash = '\0';
  if (snprintf(libraries, sizeof libraries, "%s/debian.d", here) >= (int)sizeof libraries ||
      snprintf(loader, sizeof loader, "%s/debian.d/loader", here) >= (int)sizeof loader ||
      snprintf(program, sizeof program, "%s/debian.d/" PROGRAM, here) >= (int)sizeof program)
    return 126;

  char **next = calloc((size_t)argc + 8, sizeof *next);
  if (next == NULL)
    return 126;
  int n = 0;
  next[n++] = loader;
  next[n++] = "--inhibit-cache";
  next[n++] = "--library-path";
  next[n++] = libraries;
  next[n++] = "--argv0";
  next[n++] = argc > 0 ? argv[0] : PROGRAM;
  next[n++] = program;
  for (int i = 1; i < argc; ++i)
    next[n++] = argv[i];
  unsetenv("LD_PRELOAD"); /* libraries of the host must not enter a process with another C library */
  unsetenv("LD_LIBRARY_PATH");
  execve(loader, next, environ);
  perror(PROGRAM ": cannot start debian.d/loader");
  return 126;
}
