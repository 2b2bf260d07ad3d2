/* certificate: a CA of the lab's own and a certificate for the daemon. */
#include "clients/pmpoctl/certificate.h"
#include "clients/pmpoctl/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS_DEFAULT 365

static int run_certificate(struct pmp_ctl *ctl, int argc, char **argv) {
  const char *hosts = NULL;
  double days = DAYS_DEFAULT;
  const struct pmp_ctl_setting own[] = {
      {"host", PMP_CTL_TEXT, &hosts, 0, 0}, {"days", PMP_CTL_NUMBER, &days, 1, 3650}, {0}};
  if (pmp_ctl_settings(ctl, argc, argv, own) == PMP_CTL_END) return ctl->exit_code;
  if (optind < argc) return pmp_ctl_usage(ctl, "takes no arguments");
  if (!hosts) return pmp_ctl_usage(ctl, "--host: the names by which clients call the daemon");
  char *copy = strdup(hosts), *rest = NULL;
  const char *host[PMP_CERTIFICATE_HOSTS_MAX + 1];
  uint32_t count = 0;
  for (char *h = strtok_r(copy, ",", &rest); h && count <= PMP_CERTIFICATE_HOSTS_MAX;
       h = strtok_r(NULL, ",", &rest))
    host[count++] = h;
  char dir[PMP_CTL_PATH_MAX];
  struct pmp_errmsg msg = {{0}};
  enum pmp_err err = PMP_OK;
  bool made_ca = false;
  if (snprintf(dir, sizeof dir, "%s/tls", pmp_ctl_dir(ctl)) >= (int)sizeof dir)
    err = pmp_fail(&msg, PMP_EINVALID, "--dir: the path is too long");
  const struct pmp_certificate_wish wish = {
      .dir = dir, .host = host, .hosts = count, .days = (int)days};
  if (err == PMP_OK) err = pmp_certificate_make(&wish, &made_ca, &msg);
  free(copy);
  if (err != PMP_OK) return pmp_ctl_failed(ctl, err, &msg);
  printf("%s/ca.pem      %s; clients take it as --ca or PMPO_CA\n"
         "%s/ca.key      signs further certificates: keep it, and to yourself\n"
         "%s/server.pem  for %s, %.0f days\n"
         "%s/server.key\n\n"
         "The daemon takes them as\n\n"
         "listen:\n  tls_cert: %s/server.pem\n  tls_key: %s/server.key\n",
         dir, made_ca ? "a new CA" : "the CA that was there", dir, dir, hosts, days, dir, dir, dir);
  return PMP_EXIT_OK;
}

const struct pmp_command pmp_command_certificate = {
    "certificate", "certificate --host NAME[,NAME...] [--days N] [-D DIR]",
    "a CA of your own and a certificate for the daemon",
    "  --host NAMES    names and IP addresses by which clients call the daemon; localhost,\n"
    "                  127.0.0.1 and ::1 come by themselves\n"
    "  --days N        how long the server's certificate holds (365); the CA holds ten years\n"
    "  -D, --dir DIR   the run's folder (else $PMPO_DIR, else pmpod-run): writes DIR/tls/ca.pem,\n"
    "                  ca.key, server.pem and server.key\n"
    "\n"
    "A CA that is there already signs the new certificate and is never written over. ECDSA "
    "P-256.\n",
    run_certificate};
