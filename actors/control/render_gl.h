/* A current OpenGL context without a window or a screen, for the calling thread: EGL, else OSMesa,
 * which draws in plain memory.
 *
 * Both libraries are loaded when a context is opened and not before: an actor that draws nothing
 * needs neither. They stay loaded to the process's end. One context at a time. */
#ifndef PMP_CONTROL_RENDER_GL_H
#define PMP_CONTROL_RENDER_GL_H

#include "base/err.h"

struct pmp_gl;

/* The environment's MUJOCO_GL chooses ("egl", "osmesa"; anything else: what works).
 * PMP_EUNAVAILABLE with the reasons of both. */
PMP_MUST_CHECK enum pmp_err pmp_gl_open(struct pmp_gl **gl, struct pmp_errmsg *msg);
/* NULL is fine. */
void pmp_gl_close(struct pmp_gl *gl);
/* "EGL" or "OSMesa". */
const char *pmp_gl_name(const struct pmp_gl *gl);

#endif
