/* Frames as a file: a film through an ffmpeg process, or one PNG.
 *
 * A file appears under its name when it is whole; until then it is NAME.part. Owned by one thread;
 * writing a frame blocks until ffmpeg has taken it. */
#ifndef PMP_CONTROL_RENDER_FILM_H
#define PMP_CONTROL_RENDER_FILM_H

#include "base/err.h"

#include <stdbool.h>

struct pmp_film;

/* Starts ffmpeg (found by PATH) for an H.264 film of width x height, both even. PMP_EUNAVAILABLE
 * when there is no ffmpeg, PMP_EINVALID, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_film_open(struct pmp_film **film, const char *path, int width,
                                          int height, double fps, struct pmp_errmsg *msg);
/* rgb (height x width x 3), from the top. PMP_EIO with ffmpeg's own words when it has ended. */
PMP_MUST_CHECK enum pmp_err pmp_film_frame(struct pmp_film *film, const unsigned char *rgb,
                                           struct pmp_errmsg *msg);
/* Waits for ffmpeg. `keep`: the film gets its name, else it is thrown away. Frees film in any case;
 * NULL is fine. PMP_EIO with ffmpeg's own words. */
PMP_MUST_CHECK enum pmp_err pmp_film_close(struct pmp_film *film, bool keep,
                                           struct pmp_errmsg *msg);

/* Writes rgb (height x width x 3) as a PNG. PMP_EIO, PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_png_write(const char *path, int width, int height,
                                          const unsigned char *rgb, struct pmp_errmsg *msg);

#endif
