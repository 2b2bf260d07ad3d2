/* What an experiment leaves: tables in Markdown on stdout and in NAME.md, CSV files, figures drawn
 * by gnuplot from a script that stays beside them, and the claims that were checked.
 *
 * One thread. Blocks on files and while gnuplot runs. */
#ifndef PMP_EXPERIMENTS_REPORT_H
#define PMP_EXPERIMENTS_REPORT_H

#include "experiments/experiment.h"

#include <jansson.h>
#include <stdio.h>

#define PMP_REPORT_PATH_MAX 1024

struct pmp_report {
  const struct pmp_experiment_options *options; /* borrowed */
  const char *name;
  char folder[PMP_REPORT_PATH_MAX];
  FILE *page;       /* NAME.md; owned */
  char before[768]; /* settings of the page that was there; "": none */
  uint32_t failed;
};

/* Makes the folder and begins the page. */
PMP_MUST_CHECK enum pmp_err pmp_report_open(struct pmp_report *r,
                                            const struct pmp_experiment_options *options,
                                            const char *name, struct pmp_errmsg *msg);
/* The page's title and the settings of what is on it. Says on stderr when the folder held tables of
 * other settings: they are written over, runs are not. */
void pmp_report_begin(struct pmp_report *r, const char *settings);
/* Safe on a zeroed struct. PMP_EIO when something did not reach the disk. */
PMP_MUST_CHECK enum pmp_err pmp_report_close(struct pmp_report *r, struct pmp_errmsg *msg);
/* FOLDER/NAME SUFFIX ("-runs.csv"). */
void pmp_report_path(const struct pmp_report *r, const char *suffix, char out[PMP_REPORT_PATH_MAX]);
PMP_MUST_CHECK enum pmp_err pmp_report_file(const struct pmp_report *r, const char *suffix,
                                            FILE **out, struct pmp_errmsg *msg);
PMP_MUST_CHECK enum pmp_err pmp_report_file_close(FILE *file, struct pmp_errmsg *msg);
/* Onto the page, and onto stdout when tables are wanted there. */
void pmp_report_text(struct pmp_report *r, const char *fmt, ...) PMP_PRINTF(2, 3);
/* With --json: the object as a line on stdout. Takes the reference; NULL is nothing. */
void pmp_report_json(const struct pmp_report *r, json_t *object);
/* What was claimed, and whether it holds; one that does not is said on stderr too. */
void pmp_report_claim(struct pmp_report *r, bool holds, const char *fmt, ...) PMP_PRINTF(3, 4);
/* A claim that these runs cannot judge, and what it would need: counts neither way. */
void pmp_report_unjudged(struct pmp_report *r, const char *needs, const char *fmt, ...)
    PMP_PRINTF(3, 4);

/* A figure's script, NAME SUFFIX.gp, begun with terminal and style; `columns` x `rows` panels of
 * `width` x `height` pixels between their axes. The caller writes data blocks and plots, panel by
 * panel, and the key of all last. */
PMP_MUST_CHECK enum pmp_err pmp_report_figure(const struct pmp_report *r, const char *suffix,
                                              int columns, int rows, int width, int height,
                                              const char *title, FILE **script,
                                              struct pmp_errmsg *msg);
/* Begins the plot that draws the key below all panels: the caller adds `, keyentry ...` and ends
 * the line. */
void pmp_report_key(FILE *script);
/* Ends the script and draws NAME SUFFIX.png. PMP_ENOTFOUND: there is no gnuplot. */
PMP_MUST_CHECK enum pmp_err pmp_report_draw(const struct pmp_report *r, const char *suffix,
                                            FILE *script, struct pmp_errmsg *msg);
/* A number as JSON; null when it is not finite. */
json_t *pmp_report_number(double value);

#endif
