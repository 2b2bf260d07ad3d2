/* The page's files, which are part of the program. */
#include "daemon/http_files.h"
#include "daemon/http_internal.h"

#include <string.h>

static const struct pmp_http_file *find(const char *url) {
  if (strcmp(url, "/") == 0) url = "/index.html";
  for (const struct pmp_http_file *f = pmp_http_files; f->path; f++)
    if (strcmp(f->path, url) == 0) return f;
  return NULL;
}

bool pmp_http_static_serve(struct pmp_http_request *r) {
  const struct pmp_http_file *f = find(r->url);
  if (!f) return false;
  const char *have = MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "If-None-Match");
  const bool same = have && strcmp(have, f->etag) == 0;
  struct MHD_Response *response =
      same ? MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT)
           : MHD_create_response_from_buffer(f->size, (void *)(uintptr_t)f->data,
                                             MHD_RESPMEM_PERSISTENT);
  if (response) {
    MHD_add_response_header(response, "Content-Type", f->type);
    MHD_add_response_header(response, "ETag", f->etag);
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    pmp_http_headers(response, false);
  }
  pmp_http_reply(r, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
  return true;
}
