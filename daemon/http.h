/* HTTP: the web page, a JSON face of the desk's verbs, live numbers and /metrics, by libmicrohttpd.
 *
 * Runs on the loop: libmicrohttpd's epoll descriptor is one of libuv's, and a request becomes a
 * pmp_call whose answer is JSON, so that sessions, roles, limits and counters are those of the wire
 * (dispatch.c). A request that waits for the disk is suspended meanwhile. Nothing here blocks but
 * the arithmetic of a TLS handshake.
 *
 * A session is made by POST /api/session and named by `Authorization: Bearer` in every later
 * request: there is no cookie that a foreign page could ride on. Host must be the address or one of
 * listen.http_hosts, Origin, when it is sent, the page's own. */
#ifndef PMP_DAEMON_HTTP_H
#define PMP_DAEMON_HTTP_H

#include "base/err.h"
#include "proto/wire.h"

struct pmp_server;
struct pmp_http; /* opaque */

/* Listens at config.listen.http ("off": *http stays NULL). PMP_EINVALID (address), PMP_EUNAVAILABLE
 * (in use). */
PMP_MUST_CHECK enum pmp_err pmp_http_open(struct pmp_http **http, struct pmp_server *s,
                                          struct pmp_errmsg *msg);
/* Loop: what is due: live numbers to those who listen. Called at every tick. */
void pmp_http_tick(struct pmp_http *http);
/* Ends all connections. NULL is fine. */
void pmp_http_close(struct pmp_http *http);
/* What a person opens, with the start's token when there are no others; "" when off. */
const char *pmp_http_url(const struct pmp_http *http);
/* Without the token, for files and logs. */
const char *pmp_http_address(const struct pmp_http *http);

#endif
