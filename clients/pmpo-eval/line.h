/* A line of JSON in, a line of JSON out.
 *
 * Memory of its own, no I/O; any thread. */
#ifndef PMP_CLIENTS_PMPO_EVAL_LINE_H
#define PMP_CLIENTS_PMPO_EVAL_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The answer to `text` (size bytes, no terminator needed) as a new object: loss, policy_term, kl
 * and grad, with `verbose` also log_pi, log_ref, c and kl_margin; or {"error": sentence}, and
 * *failed is true. An "id" is handed back. NULL only when memory ends. */
json_t *pmp_eval_line(const char *text, size_t size, bool verbose, bool *failed);
/* `answer` as compact text whose numbers read back exactly, to be freed; NULL when memory ends. */
char *pmp_eval_text(const json_t *answer);

#endif
