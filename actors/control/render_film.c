#include "actors/control/render_film.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <png.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct pmp_film {
  char path[PATH_MAX], part[PATH_MAX];
  size_t frame_bytes;
  pid_t ffmpeg;
  int frames; /* socket: a write to an ffmpeg that ended is an error, not a signal */
  int words;  /* memory file that takes ffmpeg's messages */
};

/* ---- ffmpeg ---- */

static enum pmp_err spawn(struct pmp_film *f, int input, char *const argv[],
                          struct pmp_errmsg *msg) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  sigset_t none;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attr);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, f->words, STDERR_FILENO);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  /* A group of its own: Ctrl-C is for us, who then end the film in order. */
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setsigmask(&attr, &none);
  int rc = posix_spawnp(&f->ffmpeg, "ffmpeg", &files, &attr, argv, environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attr);
  if (rc == 0) return PMP_OK;
  f->ffmpeg = 0;
  if (rc == ENOENT)
    return pmp_fail(msg, PMP_EUNAVAILABLE,
                    "there is no ffmpeg to make a film (Debian: ffmpeg); a .png needs none");
  return pmp_fail(msg, PMP_EUNAVAILABLE, "ffmpeg cannot be started: %s", strerror(rc));
}

static enum pmp_err start(struct pmp_film *f, int width, int height, double fps,
                          struct pmp_errmsg *msg) {
  char size[32], rate[32], output[PATH_MAX + 8];
  int pair[2];
  snprintf(size, sizeof size, "%dx%d", width, height);
  snprintf(rate, sizeof rate, "%.6g", fps);
  snprintf(output, sizeof output, "file:%s", f->part); /* not a protocol, whatever its name */
  char *const argv[] = {"ffmpeg",   "-loglevel", "error",  "-nostdin",  "-y",         "-f",
                        "rawvideo", "-pix_fmt",  "rgb24",  "-s",        size,         "-r",
                        rate,       "-i",        "pipe:0", "-c:v",      "libx264",    "-pix_fmt",
                        "yuv420p",  "-crf",      "20",     "-movflags", "+faststart", "-f",
                        "mp4",      output,      NULL};
  f->words = memfd_create("ffmpeg", MFD_CLOEXEC);
  if (f->words < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return pmp_fail(msg, pmp_err_from_errno(errno), "ffmpeg cannot be started: %s",
                    strerror(errno));
  f->frames = pair[0];
  enum pmp_err err = spawn(f, pair[1], argv, msg);
  close(pair[1]);
  return err;
}

enum pmp_err pmp_film_open(struct pmp_film **film, const char *path, int width, int height,
                           double fps, struct pmp_errmsg *msg) {
  *film = NULL;
  if (width % 2 != 0 || height % 2 != 0)
    return pmp_fail(msg, PMP_EINVALID, "a film's width and height are even, not %dx%d", width,
                    height);
  struct pmp_film *f = calloc(1, sizeof *f);
  if (f == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory for a film");
  f->frames = f->words = -1;
  f->frame_bytes = (size_t)width * (size_t)height * 3;
  enum pmp_err err = PMP_OK;
  if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path ||
      snprintf(f->part, sizeof f->part, "%s.part", path) >= (int)sizeof f->part)
    err = pmp_fail(msg, PMP_EINVALID, "the film's path is too long");
  if (err == PMP_OK) err = start(f, width, height, fps, msg);
  if (err == PMP_OK) {
    *film = f;
    return PMP_OK;
  }
  if (f->frames >= 0) close(f->frames);
  if (f->words >= 0) close(f->words);
  free(f);
  return err;
}

/* The last line that ffmpeg wrote. */
static void last_words(struct pmp_film *f, char *text, size_t size) {
  off_t end = lseek(f->words, 0, SEEK_END),
        from = end > (off_t)size - 1 ? end - (off_t)size + 1 : 0;
  ssize_t n = pread(f->words, text, size - 1, from);
  text[n > 0 ? n : 0] = '\0';
  while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
  const char *line = strrchr(text, '\n');
  if (line != NULL) memmove(text, line + 1, strlen(line + 1) + 1);
}

/* Waits for ffmpeg's end; an error is what it said. */
static enum pmp_err finish(struct pmp_film *f, struct pmp_errmsg *msg) {
  int status = 0;
  char text[256];
  if (f->frames >= 0) close(f->frames);
  f->frames = -1;
  if (f->ffmpeg > 0)
    while (waitpid(f->ffmpeg, &status, 0) < 0 && errno == EINTR) continue;
  f->ffmpeg = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return PMP_OK;
  last_words(f, text, sizeof text);
  return pmp_fail(msg, PMP_EIO, "ffmpeg failed: %s",
                  text[0] != '\0' ? text : "it was ended before it was done");
}

enum pmp_err pmp_film_frame(struct pmp_film *f, const unsigned char *rgb, struct pmp_errmsg *msg) {
  for (size_t done = 0; done < f->frame_bytes;) {
    ssize_t n = send(f->frames, rgb + done, f->frame_bytes - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      PMP_TRY(finish(f, msg));
      return pmp_fail(msg, PMP_EIO, "ffmpeg ended before the film did");
    }
    done += (size_t)n;
  }
  return PMP_OK;
}

enum pmp_err pmp_film_close(struct pmp_film *f, bool keep, struct pmp_errmsg *msg) {
  if (f == NULL) return PMP_OK;
  enum pmp_err err = finish(f, msg);
  if (err == PMP_OK && keep && rename(f->part, f->path) != 0)
    err = pmp_fail(msg, pmp_err_from_errno(errno), "%.256s: %s", f->path, strerror(errno));
  if (err != PMP_OK || !keep) unlink(f->part);
  close(f->words);
  free(f);
  return err;
}

/* ---- PNG ---- */

enum pmp_err pmp_png_write(const char *path, int width, int height, const unsigned char *rgb,
                           struct pmp_errmsg *msg) {
  char part[PATH_MAX];
  png_image image = {.version = PNG_IMAGE_VERSION,
                     .width = (png_uint_32)width,
                     .height = (png_uint_32)height,
                     .format = PNG_FORMAT_RGB};
  if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
    return pmp_fail(msg, PMP_EINVALID, "the picture's path is too long");
  if (!png_image_write_to_file(&image, part, 0, rgb, 0, NULL)) {
    unlink(part);
    return pmp_fail(msg, PMP_EIO, "%.256s: %s", path, image.message);
  }
  if (rename(part, path) == 0) return PMP_OK;
  enum pmp_err err = pmp_fail(msg, pmp_err_from_errno(errno), "%.256s: %s", path, strerror(errno));
  unlink(part);
  return err;
}
