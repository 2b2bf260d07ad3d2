/* The page's files as the build put them into the program (cmake/PmpEmbed.cmake). Constant. */
#ifndef PMP_DAEMON_HTTP_FILES_H
#define PMP_DAEMON_HTTP_FILES_H

#include <stddef.h>

struct pmp_http_file {
  const char *path; /* "/index.html"; NULL: the end of the list */
  const char *type;
  const char *etag; /* with its quotes */
  const unsigned char *data;
  size_t size;
};
extern const struct pmp_http_file pmp_http_files[];

#endif
