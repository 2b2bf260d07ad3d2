/* What a leased item looks like in a terminal, or as a line of JSON; pictures and films go into
 * files, and through a viewer when there is one.
 *
 * One thread; blocks on the disk and on the viewer. */
#ifndef PMP_PMPOCTL_LABEL_SHOW_H
#define PMP_PMPOCTL_LABEL_SHOW_H

#include "clients/pmpoctl/ctl.h"

#include <jansson.h>

struct pmp_label_show {
  float low, high;  /* of the actions: how colours are scaled */
  char folder[128]; /* with the files of the item shown; "": none yet */
  char file[16][PMP_CTL_PATH_MAX];
  uint32_t files;
};

/* For people, on stdout. render: how numbers are best shown. */
void pmp_label_print(struct pmp_label_show *s, const struct pmp_leased_item *item,
                     const char *render);
/* For programs; NULL: no memory. */
json_t *pmp_label_json(struct pmp_label_show *s, const struct pmp_leased_item *item,
                       const char *render);
/* Removes the files of the item before. Safe on a zeroed struct. */
void pmp_label_forget(struct pmp_label_show *s);
/* And the folder. */
void pmp_label_show_fini(struct pmp_label_show *s);

#endif
