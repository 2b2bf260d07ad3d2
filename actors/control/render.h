/* Pictures of an environment, drawn by MuJoCo without a screen.
 *
 * Owned by the thread that opened it (OpenGL's context is that thread's), one at a time. Drawing
 * changes nothing that the physics sees. */
#ifndef PMP_CONTROL_RENDER_H
#define PMP_CONTROL_RENDER_H

#include "actors/control/env.h"

#define PMP_RENDER_SIDE_MAX 4096 /* pixels */

struct pmp_renderer_config {
  const struct pmp_env_model *model; /* outlives the renderer */
  int width, height;                 /* pixels, 1..PMP_RENDER_SIDE_MAX */
  const char *camera; /* a name, an index, "-1" for one that sees all; NULL: the first, as in the
                         suite, or one that sees all where there is none */
};

struct pmp_renderer;

/* PMP_ENOTFOUND (no such camera; the message names those there are), PMP_EUNAVAILABLE (no OpenGL),
 * PMP_EINTERNAL (MuJoCo's words), PMP_ENOMEM. */
PMP_MUST_CHECK enum pmp_err pmp_renderer_open(struct pmp_renderer **r,
                                              const struct pmp_renderer_config *config,
                                              struct pmp_errmsg *msg);
/* NULL is fine. */
void pmp_renderer_close(struct pmp_renderer *r);
/* Draws env into rgb: `height` rows of 3 * width bytes from the top, `stride` bytes apart. */
PMP_MUST_CHECK enum pmp_err pmp_renderer_frame(struct pmp_renderer *r, struct pmp_env *env,
                                               unsigned char *rgb, size_t stride,
                                               struct pmp_errmsg *msg);
/* What draws: "EGL" or "OSMesa". */
const char *pmp_renderer_name(const struct pmp_renderer *r);

#endif
