#include "actors/control/render.h"

#include "actors/control/render_gl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GEOMS_MAX = 2000, DECIMAL = 10 };

struct pmp_renderer {
  struct pmp_renderer_config config;
  struct pmp_gl *gl;
  mjvCamera camera;
  mjvOption option;
  mjvScene scene;      /* owned arrays */
  mjrContext context;  /* owned OpenGL objects */
  unsigned char *rows; /* owned, (height x width x 3), from the bottom as OpenGL gives them */
};

/* ---- cameras ---- */

static enum pmp_err no_camera(const mjModel *m, const char *name, struct pmp_errmsg *msg) {
  char known[256] = "";
  for (int i = 0; i < (int)m->ncam; i++) {
    const char *camera = mj_id2name(m, mjOBJ_CAMERA, i);
    size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, "%s%d (%s)", i > 0 ? ", " : "", i,
             camera != NULL ? camera : "unnamed");
  }
  return pmp_fail(msg, PMP_ENOTFOUND, "no camera \"%.64s\"; there %s %s, and -1 sees all", name,
                  m->ncam == 1 ? "is" : "are", m->ncam > 0 ? known : "none");
}

static enum pmp_err choose_camera(struct pmp_renderer *r, struct pmp_errmsg *msg) {
  const mjModel *m = r->config.model->load.m;
  const char *name = r->config.camera;
  long id = m->ncam > 0 ? 0 : -1;
  mjv_defaultFreeCamera(m, &r->camera);
  if (name != NULL) {
    char *end;
    id = mj_name2id(m, mjOBJ_CAMERA, name);
    if (id < 0) {
      id = strtol(name, &end, DECIMAL);
      if (end == name || *end != '\0' || id < -1 || id >= (long)m->ncam)
        return no_camera(m, name, msg);
    }
  }
  if (id < 0) return PMP_OK;
  r->camera.type = mjCAMERA_FIXED;
  r->camera.fixedcamid = (int)id;
  return PMP_OK;
}

/* ---- life ---- */

static void make_context(void *arg) {
  struct pmp_renderer *r = arg;
  const mjModel *m = r->config.model->load.m;
  mjv_makeScene(m, &r->scene, GEOMS_MAX);
  mjr_makeContext(m, &r->context, mjFONTSCALE_100);
  mjr_setBuffer(mjFB_OFFSCREEN, &r->context);
  mjr_resizeOffscreen(r->config.width, r->config.height, &r->context);
}

enum pmp_err pmp_renderer_open(struct pmp_renderer **out, const struct pmp_renderer_config *config,
                               struct pmp_errmsg *msg) {
  *out = NULL;
  struct pmp_renderer *r = calloc(1, sizeof *r);
  if (r == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory to draw");
  r->config = *config;
  mjv_defaultOption(&r->option);
  mjv_defaultScene(&r->scene);
  mjr_defaultContext(&r->context);
  enum pmp_err err = choose_camera(r, msg);
  if (err == PMP_OK) err = pmp_gl_open(&r->gl, msg);
  if (err == PMP_OK) err = pmp_physics_guard(make_context, r, msg);
  if (err == PMP_OK && r->context.currentBuffer != mjFB_OFFSCREEN)
    err = pmp_fail(msg, PMP_EUNAVAILABLE, "%s cannot draw into memory", pmp_gl_name(r->gl));
  if (err == PMP_OK) {
    r->rows = malloc((size_t)config->width * (size_t)config->height * 3);
    if (r->rows == NULL) err = pmp_fail(msg, PMP_ENOMEM, "no memory to draw");
  }
  if (err != PMP_OK)
    pmp_renderer_close(r);
  else
    *out = r;
  return err;
}

static void free_context(void *arg) {
  struct pmp_renderer *r = arg;
  mjr_freeContext(&r->context);
  mjv_freeScene(&r->scene);
}

void pmp_renderer_close(struct pmp_renderer *r) {
  if (r == NULL) return;
  /* An error here has no reader: the process is done with drawing. */
  if (r->gl != NULL && pmp_physics_guard(free_context, r, NULL) == PMP_OK) pmp_gl_close(r->gl);
  free(r->rows);
  free(r);
}

const char *pmp_renderer_name(const struct pmp_renderer *r) {
  return pmp_gl_name(r->gl);
}

/* ---- drawing ---- */

struct frame_call {
  struct pmp_renderer *r;
  struct pmp_env *env;
};

/* The floors of the suite are drawn from a little behind the start on; for the physics they have no
 * end. One whose drawn end is near is moved along, by whole tiles, so that a body that goes
 * backwards has ground to go on. */
static void move_floors(mjvScene *scene) {
  const float near_end = 10; /* meters */
  const float *eye = scene->camera[0].pos;
  for (int i = 0; i < scene->ngeom; i++) {
    mjvGeom *g = &scene->geoms[i];
    if (g->type != mjGEOM_PLANE || g->size[0] <= near_end) continue;
    const float axis[3] = {g->mat[0], g->mat[3], g->mat[6]};
    float along = 0;
    for (int k = 0; k < 3; k++) along += (eye[k] - g->pos[k]) * axis[k];
    if (fabsf(along) < g->size[0] - near_end) continue;
    for (int k = 0; k < 3; k++) g->pos[k] += roundf(along) * axis[k];
  }
}

static void draw(void *arg) {
  struct frame_call *call = arg;
  struct pmp_renderer *r = call->r;
  const mjrRect all = {0, 0, r->config.width, r->config.height};
  /* Steps leave cameras and lights where they were. */
  mj_camlight(call->env->p.m, call->env->p.d);
  /* The environment's own model: its start may have moved things. */
  mjv_updateScene(call->env->p.m, call->env->p.d, &r->option, NULL, &r->camera, mjCAT_ALL,
                  &r->scene);
  move_floors(&r->scene);
  mjr_render(all, &r->scene, &r->context);
  mjr_readPixels(r->rows, NULL, all, &r->context);
}

enum pmp_err pmp_renderer_frame(struct pmp_renderer *r, struct pmp_env *env, unsigned char *rgb,
                                size_t stride, struct pmp_errmsg *msg) {
  const size_t row = (size_t)r->config.width * 3, rows = (size_t)r->config.height;
  PMP_TRY(pmp_physics_guard(draw, &(struct frame_call){r, env}, msg));
  int error = mjr_getError();
  if (error != 0)
    return pmp_fail(msg, PMP_EINTERNAL, "OpenGL (%s): error %#x", pmp_gl_name(r->gl),
                    (unsigned)error);
  for (size_t y = 0; y < rows; y++) memcpy(rgb + y * stride, r->rows + (rows - 1 - y) * row, row);
  return PMP_OK;
}
