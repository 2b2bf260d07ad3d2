#include "actors/control/render_gl.h"

#define EGL_NO_X11 1
#define MESA_EGL_NO_X11_HEADERS 1
#include <dlfcn.h>
#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GL/osmesa.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEVICES_MAX = 16, CANVAS = 8 };

struct egl {
  PFNEGLGETPROCADDRESSPROC get_proc;
  PFNEGLINITIALIZEPROC initialize;
  PFNEGLTERMINATEPROC terminate;
  PFNEGLBINDAPIPROC bind_api;
  PFNEGLCHOOSECONFIGPROC choose_config;
  PFNEGLCREATECONTEXTPROC create_context;
  PFNEGLDESTROYCONTEXTPROC destroy_context;
  PFNEGLMAKECURRENTPROC make_current;
  PFNEGLGETPLATFORMDISPLAYEXTPROC get_platform_display; /* extensions; NULL where missing */
  PFNEGLQUERYDEVICESEXTPROC query_devices;
  EGLDisplay display;
  EGLContext context;
};

struct osmesa {
  OSMesaContext (*create)(GLenum format, GLint depth, GLint stencil, GLint accum,
                          OSMesaContext share);
  GLboolean (*make_current)(OSMesaContext c, void *buffer, GLenum type, GLsizei w, GLsizei h);
  void (*destroy)(OSMesaContext c);
  OSMesaContext context;
  unsigned char canvas[4 * CANVAS * CANVAS]; /* MuJoCo draws into its own buffers */
};

struct pmp_gl {
  struct egl egl;
  struct osmesa osmesa;
};

/* MuJoCo asks the loaded library for OpenGL's functions, by a search over what is global. */
static void *load(const char *name, struct pmp_errmsg *msg) {
  void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  if (library == NULL) (void)pmp_fail(msg, PMP_EUNAVAILABLE, "%s", dlerror());
  return library;
}

/* One function of a library; they lie in a row, so that one loop checks them. */
struct symbol {
  const char *name;
  void *into; /* a function pointer's place */
};

static bool find_all(void *library, const struct symbol *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    void *f = dlsym(library, s[i].name);
    if (f == NULL) return false;
    memcpy(s[i].into, &f, sizeof f);
  }
  return true;
}

/* ---- EGL ---- */

static enum pmp_err load_egl(struct egl *e, struct pmp_errmsg *msg) {
  const struct symbol symbols[] = {{"eglGetProcAddress", &e->get_proc},
                                   {"eglInitialize", &e->initialize},
                                   {"eglTerminate", &e->terminate},
                                   {"eglBindAPI", &e->bind_api},
                                   {"eglChooseConfig", &e->choose_config},
                                   {"eglCreateContext", &e->create_context},
                                   {"eglDestroyContext", &e->destroy_context},
                                   {"eglMakeCurrent", &e->make_current}};
  void *library = load("libEGL.so.1", msg);
  if (library == NULL) return PMP_EUNAVAILABLE;
  if (!find_all(library, symbols, sizeof symbols / sizeof symbols[0]))
    return pmp_fail(msg, PMP_EUNAVAILABLE, "libEGL.so.1 lacks a function");
  e->get_platform_display =
      (PFNEGLGETPLATFORMDISPLAYEXTPROC)e->get_proc("eglGetPlatformDisplayEXT");
  e->query_devices = (PFNEGLQUERYDEVICESEXTPROC)e->get_proc("eglQueryDevicesEXT");
  if (e->get_platform_display == NULL)
    return pmp_fail(msg, PMP_EUNAVAILABLE, "libEGL.so.1 is older than displays without a screen");
  return PMP_OK;
}

static bool open_display(struct egl *e, EGLenum platform, void *native) {
  static const EGLint wanted[] = {EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT, EGL_SURFACE_TYPE, 0,
                                  EGL_NONE};
  EGLConfig config = EGL_NO_CONFIG_KHR; /* a context of all configurations, where none fits */
  EGLint n = 0;
  e->display = e->get_platform_display(platform, native, NULL);
  if (e->display == EGL_NO_DISPLAY) return false;
  if (e->initialize(e->display, NULL, NULL)) {
    if (!e->choose_config(e->display, wanted, &config, 1, &n) || n < 1) config = EGL_NO_CONFIG_KHR;
    if (e->bind_api(EGL_OPENGL_API))
      e->context = e->create_context(e->display, config, EGL_NO_CONTEXT, NULL);
    if (e->context != EGL_NO_CONTEXT &&
        e->make_current(e->display, EGL_NO_SURFACE, EGL_NO_SURFACE, e->context))
      return true;
    if (e->context != EGL_NO_CONTEXT) e->destroy_context(e->display, e->context);
    e->terminate(e->display);
  }
  e->context = EGL_NO_CONTEXT;
  e->display = EGL_NO_DISPLAY;
  return false;
}

/* Mesa's own platform first, which chooses; then each device, for drivers that lack it. */
static enum pmp_err open_egl(struct egl *e, struct pmp_errmsg *msg) {
  EGLDeviceEXT device[DEVICES_MAX];
  EGLint devices = 0;
  PMP_TRY(load_egl(e, msg));
  if (open_display(e, EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY)) return PMP_OK;
  if (e->query_devices == NULL || !e->query_devices(DEVICES_MAX, device, &devices)) devices = 0;
  for (EGLint i = 0; i < devices; i++)
    if (open_display(e, EGL_PLATFORM_DEVICE_EXT, device[i])) return PMP_OK;
  return pmp_fail(msg, PMP_EUNAVAILABLE, "no device draws (is libgl1-mesa-dri installed?)");
}

/* The display stays as it is for the next context: drivers do not like to be unloaded. */
static void close_egl(struct egl *e) {
  if (e->context == EGL_NO_CONTEXT) return;
  e->make_current(e->display, EGL_NO_SURFACE, EGL_NO_SURFACE, EGL_NO_CONTEXT);
  e->destroy_context(e->display, e->context);
}

/* ---- OSMesa ---- */

static enum pmp_err open_osmesa(struct osmesa *o, struct pmp_errmsg *msg) {
  const struct symbol symbols[] = {{"OSMesaCreateContextExt", &o->create},
                                   {"OSMesaMakeCurrent", &o->make_current},
                                   {"OSMesaDestroyContext", &o->destroy}};
  void *library = load("libOSMesa.so.8", msg);
  if (library == NULL) return PMP_EUNAVAILABLE;
  if (!find_all(library, symbols, sizeof symbols / sizeof symbols[0]))
    return pmp_fail(msg, PMP_EUNAVAILABLE, "libOSMesa.so.8 lacks a function");
  o->context = o->create(OSMESA_RGBA, 24, 8, 0, NULL);
  if (o->context != NULL &&
      o->make_current(o->context, o->canvas, GL_UNSIGNED_BYTE, CANVAS, CANVAS))
    return PMP_OK;
  if (o->context != NULL) o->destroy(o->context);
  o->context = NULL;
  return pmp_fail(msg, PMP_EUNAVAILABLE, "no context");
}

/* ---- either ---- */

enum pmp_err pmp_gl_open(struct pmp_gl **out, struct pmp_errmsg *msg) {
  const char *wish = getenv("MUJOCO_GL");
  const bool only_egl = wish != NULL && strcasecmp(wish, "egl") == 0;
  const bool only_osmesa = wish != NULL && strcasecmp(wish, "osmesa") == 0;
  struct pmp_errmsg egl = {"not asked for"}, osmesa = {"not asked for"};
  *out = NULL;
  struct pmp_gl *gl = calloc(1, sizeof *gl);
  if (gl == NULL) return pmp_fail(msg, PMP_ENOMEM, "no memory to draw");
  if ((!only_osmesa && open_egl(&gl->egl, &egl) == PMP_OK) ||
      (!only_egl && open_osmesa(&gl->osmesa, &osmesa) == PMP_OK)) {
    *out = gl;
    return PMP_OK;
  }
  free(gl);
  return pmp_fail(msg, PMP_EUNAVAILABLE,
                  "nothing here draws without a screen. EGL: %.180s. OSMesa: %.180s", egl.text,
                  osmesa.text);
}

void pmp_gl_close(struct pmp_gl *gl) {
  if (gl == NULL) return;
  close_egl(&gl->egl);
  if (gl->osmesa.context != NULL) gl->osmesa.destroy(gl->osmesa.context);
  free(gl);
}

const char *pmp_gl_name(const struct pmp_gl *gl) {
  return gl->osmesa.context != NULL ? "OSMesa" : "EGL";
}
