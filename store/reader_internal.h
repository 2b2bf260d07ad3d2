/* The reading side's insides, shared by reader.c and reader_people.c alone. Whoever owns the
 * reader's thread. */
#ifndef PMP_STORE_READER_INTERNAL_H
#define PMP_STORE_READER_INTERNAL_H

#include "store/chunk_row.h"
#include "store/store.h"

#define BATCH 256 /* commit ids looked up at a time */

enum reader_sql {
  SQL_ENTRIES,
  SQL_CHUNK,
  SQL_VERDICT,
  SQL_SETTING,
  SQL_NEWEST,
  SQL_POINTS,
  SQL_POINT_FROM,
  SQL_POINT_LAST,
  SQL_POINT_COUNT,
  SQL_METRICS,
  SQL_EVENTS,
  SQL_EVENTS_BEFORE,
  SQL_OTHERS,
  SQL_OTHERS_BEFORE,
  SQL_ACTORS,
  SQL_META,
  SQL_CHUNKS_OPEN,
  SQL_VERDICTS_LIVE,
  SQL_VERDICTS,
  SQL_VERDICTS_OF,
  SQL_GIVEN,
  SQL_GOLD,
  SQL_COUNT
};

struct pmp_reader {
  sqlite3 *db;
  sqlite3_stmt *stmt[SQL_COUNT];
  struct pmp_codec codec;
  void *data; /* owned: the last chunk */
  size_t room;
  char actor[PMP_STORE_NAME_MAX];
};

enum pmp_err pmp_reader_fail(struct pmp_reader *r, int rc, const char *what,
                             struct pmp_errmsg *msg);

#endif
