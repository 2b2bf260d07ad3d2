/* Pictures and films: that they show the environment and change nothing, and what is refused. */
#include "tests/control/support.h"

#include "actors/control/render.h"
#include "actors/control/render_film.h"

#include <png.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIDTH = 96, HEIGHT = 64, BYTES = WIDTH * HEIGHT * 3 };

struct scene {
  struct pmp_env_model em;
  struct pmp_env *env;
  struct pmp_renderer *renderer;
};

static void open_scene(struct scene *s, const char *task, const char *camera) {
  const struct pmp_env_options options = {.seed = 3};
  struct pmp_errmsg msg = {{0}};
  load_task(&s->em, task);
  ASSERT_OK(pmp_env_create(&s->env, &s->em, &options, &msg));
  ASSERT_OK(pmp_env_reset(s->env, NULL, &msg));
  const struct pmp_renderer_config config = {
      .model = &s->em, .width = WIDTH, .height = HEIGHT, .camera = camera};
  ASSERT_OK(pmp_renderer_open(&s->renderer, &config, &msg));
}

static void close_scene(struct scene *s) {
  pmp_renderer_close(s->renderer);
  pmp_env_free(s->env);
  pmp_env_model_free(&s->em);
}

static void draw(struct scene *s, unsigned char *rgb) {
  struct pmp_errmsg msg = {{0}};
  memset(rgb, 0x99, BYTES);
  ASSERT_OK(pmp_renderer_frame(s->renderer, s->env, rgb, WIDTH * 3, &msg));
}

/* Pixels of the suite's orange body colour, and where they are on the average. */
static int body_pixels(const unsigned char *rgb, double *x, double *y) {
  int n = 0;
  *x = *y = 0;
  for (int i = 0; i < WIDTH * HEIGHT; i++) {
    if (rgb[3 * i] < 100 || rgb[3 * i] < 2 * rgb[3 * i + 2]) continue;
    *x += i % WIDTH;
    *y += i / WIDTH;
    n++;
  }
  *x /= n;
  *y /= n;
  return n;
}

static int differing(const unsigned char *a, const unsigned char *b) {
  int n = 0;
  for (int i = 0; i < BYTES; i++) n += abs(a[i] - b[i]) > 8;
  return n;
}

/* The cart stands left, then right, of the middle; the pole up, then down. */
static void test_a_picture_shows_the_state(void **state) {
  (void)state;
  struct scene s;
  struct pmp_errmsg msg = {{0}};
  unsigned char *rgb = malloc(BYTES), *again = malloc(BYTES);
  double x, y, x_right, y_down;
  const double still[2] = {0, 0};
  open_scene(&s, "cartpole_swingup", NULL);
  ASSERT_OK(pmp_env_reset_to(s.env, (const double[]){-1, 0}, still, NULL, &msg));
  draw(&s, rgb);
  assert_true(body_pixels(rgb, &x, &y) > 20);
  assert_true(x < WIDTH / 2.0 - 5);
  draw(&s, again);
  assert_memory_equal(rgb, again, BYTES);
  ASSERT_OK(pmp_env_reset_to(s.env, (const double[]){1, 3.14159}, still, NULL, &msg));
  draw(&s, again);
  assert_true(body_pixels(again, &x_right, &y_down) > 20);
  assert_true(x_right > WIDTH / 2.0 + 5);
  assert_true(y_down > y + 5); /* rows from the top */
  free(rgb);
  free(again);
  close_scene(&s);
}

/* What a start moves and resizes in its own copy of the model is drawn as it is. */
static void test_an_environments_own_model_is_drawn(void **state) {
  (void)state;
  struct scene s;
  struct pmp_errmsg msg = {{0}};
  unsigned char *one = malloc(BYTES), *two = malloc(BYTES);
  open_scene(&s, "reacher_easy", NULL);
  draw(&s, one);
  for (int i = 0; i < 3; i++) {
    ASSERT_OK(pmp_env_reset(s.env, NULL, &msg)); /* another target */
    draw(&s, two);
    assert_true(differing(one, two) > 20);
  }
  const int target = mj_name2id(s.env->p.m, mjOBJ_GEOM, "target");
  assert_true(s.env->owns_model && target >= 0);
  s.env->p.m->geom_size[3 * target] *= 2;
  draw(&s, one);
  assert_true(differing(one, two) > 20);
  free(one);
  free(two);
  close_scene(&s);
}

static void test_drawing_changes_no_physics(void **state) {
  (void)state;
  struct scene s;
  struct pmp_errmsg msg = {{0}};
  struct pmp_env_result result;
  open_scene(&s, "humanoid_walk", NULL);
  size_t size = pmp_env_state_size(&s.em);
  unsigned char *rgb = malloc(BYTES), *before = malloc(size), *plain = malloc(size),
                *drawn = malloc(size);
  float action[PMP_TASK_ACT_MAX] = {0.3f, -0.2f, 0.9f};
  pmp_env_save(s.env, before);
  for (int k = 0; k < 5; k++) ASSERT_OK(pmp_env_step(s.env, action, NULL, &result, &msg));
  pmp_env_save(s.env, plain);
  ASSERT_OK(pmp_env_restore(s.env, before, size, &msg));
  for (int k = 0; k < 5; k++) {
    draw(&s, rgb);
    ASSERT_OK(pmp_env_step(s.env, action, NULL, &result, &msg));
  }
  draw(&s, rgb);
  pmp_env_save(s.env, drawn);
  assert_memory_equal(plain, drawn, size);
  free(rgb);
  free(before);
  free(plain);
  free(drawn);
  close_scene(&s);
}

static void test_cameras(void **state) {
  (void)state;
  static const char *const good[] = {"0", "1", "lookatcart", "-1"};
  static const char *const bad[] = {"2", "-2", "nose", "", "1x"};
  struct pmp_errmsg msg = {{0}};
  unsigned char *view[4];
  for (int i = 0; i < 4; i++) {
    struct scene s;
    view[i] = malloc(BYTES);
    open_scene(&s, "cartpole_balance", good[i]);
    draw(&s, view[i]);
    close_scene(&s);
  }
  assert_memory_equal(view[1], view[2], BYTES); /* a number and its name */
  assert_true(differing(view[0], view[1]) > 100 && differing(view[0], view[3]) > 100 &&
              differing(view[1], view[3]) > 100);
  for (int i = 0; i < 4; i++) free(view[i]);
  struct pmp_env_model em;
  load_task(&em, "cartpole_balance");
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct pmp_renderer *r = NULL;
    const struct pmp_renderer_config config = {
        .model = &em, .width = WIDTH, .height = HEIGHT, .camera = bad[i]};
    assert_int_equal(pmp_renderer_open(&r, &config, &msg), PMP_ENOTFOUND);
    assert_non_null(strstr(msg.text, "0 (fixed), 1 (lookatcart)"));
    assert_null(r);
  }
  pmp_env_model_free(&em);
}

/* ---- files ---- */

struct folder {
  char dir[32], file[64], part[80];
};

static struct folder make_folder(const char *name) {
  struct folder f = {.dir = "/tmp/pmp-film-XXXXXX"};
  assert_non_null(mkdtemp(f.dir));
  snprintf(f.file, sizeof f.file, "%s/%s", f.dir, name);
  snprintf(f.part, sizeof f.part, "%s.part", f.file);
  return f;
}

static void remove_folder(const struct folder *f) {
  unlink(f->file);
  assert_int_equal(rmdir(f->dir), 0); /* nothing else is left */
}

static void gradient(unsigned char *rgb) {
  for (int i = 0; i < BYTES; i++) rgb[i] = (unsigned char)(i % 251);
}

static void test_png(void **state) {
  (void)state;
  struct folder f = make_folder("strip.png");
  struct pmp_errmsg msg = {{0}};
  unsigned char *rgb = malloc(BYTES), *back = calloc(1, BYTES);
  png_image image = {.version = PNG_IMAGE_VERSION};
  gradient(rgb);
  ASSERT_OK(pmp_png_write(f.file, WIDTH, HEIGHT, rgb, &msg));
  assert_true(png_image_begin_read_from_file(&image, f.file) != 0);
  assert_true(image.width == WIDTH && image.height == HEIGHT);
  image.format = PNG_FORMAT_RGB;
  assert_true(png_image_finish_read(&image, NULL, back, 0, NULL) != 0);
  assert_memory_equal(rgb, back, BYTES);
  remove_folder(&f);
  assert_int_equal(pmp_png_write(f.file, WIDTH, HEIGHT, rgb, &msg), PMP_EIO);
  assert_non_null(strstr(msg.text, "strip.png"));
  free(rgb);
  free(back);
}

/* Frames in a film, as ffmpeg's own tool counts them. */
static int frames_of(const char *file) {
  char command[256];
  int frames = -1;
  snprintf(command, sizeof command,
           "ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 %s",
           file);
  FILE *out = popen(command, "r");
  assert_non_null(out);
  assert_int_equal(fscanf(out, "%d", &frames), 1);
  assert_int_equal(pclose(out), 0);
  return frames;
}

static void test_film(void **state) {
  (void)state;
  struct folder f = make_folder("-film.mp4");
  struct pmp_errmsg msg = {{0}};
  struct pmp_film *film = NULL;
  unsigned char *rgb = malloc(BYTES);
  gradient(rgb);
  ASSERT_OK(pmp_film_open(&film, f.file, WIDTH, HEIGHT, 30, &msg));
  for (int i = 0; i < 7; i++) ASSERT_OK(pmp_film_frame(film, rgb, &msg));
  assert_int_equal(access(f.file, F_OK), -1);
  ASSERT_OK(pmp_film_close(film, true, &msg));
  assert_int_equal(frames_of(f.file), 7);
  unlink(f.file);
  /* What is thrown away leaves nothing. */
  ASSERT_OK(pmp_film_open(&film, f.file, WIDTH, HEIGHT, 30, &msg));
  ASSERT_OK(pmp_film_frame(film, rgb, &msg));
  ASSERT_OK(pmp_film_close(film, false, &msg));
  assert_int_equal(access(f.file, F_OK), -1);
  assert_int_equal(pmp_film_open(&film, f.file, WIDTH + 1, HEIGHT, 30, &msg), PMP_EINVALID);
  remove_folder(&f);
  free(rgb);
}

/* An ffmpeg that complains at once, and none at all. */
static void test_film_without_ffmpeg(void **state) {
  (void)state;
  struct folder f = make_folder("ffmpeg");
  struct pmp_errmsg msg = {{0}};
  struct pmp_film *film = NULL;
  unsigned char *rgb = calloc(1, BYTES);
  char *path = strdup(getenv("PATH")), film_path[80];
  snprintf(film_path, sizeof film_path, "%s/film.mp4", f.dir);
  setenv("PATH", f.dir, 1);
  assert_int_equal(pmp_film_open(&film, film_path, WIDTH, HEIGHT, 30, &msg), PMP_EUNAVAILABLE);
  assert_non_null(strstr(msg.text, "there is no ffmpeg"));
  assert_null(film);
  FILE *script = fopen(f.file, "w");
  assert_non_null(script);
  fputs("#!/bin/sh\necho first >&2\necho no such codec >&2\nexit 3\n", script);
  assert_int_equal(fclose(script), 0);
  assert_int_equal(chmod(f.file, 0700), 0);
  ASSERT_OK(pmp_film_open(&film, film_path, WIDTH, HEIGHT, 30, &msg));
  enum pmp_err err = PMP_OK;
  for (int i = 0; i < 1000 && err == PMP_OK; i++) err = pmp_film_frame(film, rgb, &msg);
  assert_int_equal(err, PMP_EIO);
  assert_string_equal(msg.text, "ffmpeg failed: no such codec");
  assert_int_equal(pmp_film_close(film, false, &msg), PMP_OK);
  setenv("PATH", path, 1);
  free(path);
  free(rgb);
  remove_folder(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_picture_shows_the_state),
      cmocka_unit_test(test_an_environments_own_model_is_drawn),
      cmocka_unit_test(test_drawing_changes_no_physics),
      cmocka_unit_test(test_cameras),
      cmocka_unit_test(test_png),
      cmocka_unit_test(test_film),
      cmocka_unit_test(test_film_without_ffmpeg),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
