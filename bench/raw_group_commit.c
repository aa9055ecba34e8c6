/* What SQLite itself can do with Kassa's statements: the limit that `bench/run` holds the program against.
 *
 * Runs, on a database that Kassa made, the statements of one created enrollment (SQLiteEnrollments.insert, Listings.add,
 * SQLiteEvents.append and what CreateEnrollment reads first) or session (SQLiteSessions.insert, and the same) on one
 * prepared statement each, many of them in one transaction. No HTTP, no threads, no cryptography: hashes and sealed codes
 * are random bytes of the right length.
 *
 *   raw_group_commit run WHAT DATABASE BATCH COUNT SECONDS    durable; WHAT is `enrollments` or `sessions`; stops after
 *                                                             COUNT rows or SECONDS; prints JSON
 *   raw_group_commit fill DATABASE FROM COUNT START_MS        enrollments FROM to FROM + COUNT, CONSUMED or EXPIRED, not
 *                                                             synced
 *   raw_group_commit read page DATABASE LABEL SECONDS         the first page of 20 of a merchant's enrollments, of all
 *                                                             (an empty LABEL) or of those with a pair, KEY:VALUE; prints
 *                                                             JSON
 *   raw_group_commit read get DATABASE ID SECONDS             one enrollment, by its id in 32 hexadecimal digits
 *   raw_group_commit statements                               those of reading, as JSON
 *
 * Keep the SQL below the same as in Sources/KassaSQLite: `bench/run` compares the rows that both left, and those that both
 * found.
 */
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ID = 16, HASH = 32, LOCATIONS_MAX = 64, DEVICES_MAX = 1024, REGISTERS = 20, STORES = 100, STEP_MS = 2000, LIFE_MS = 7200000,
       SESSION_LIFE_MS = 900000, LABELS_MAX = 4, LABEL = 64 };
enum { KIND_ALL = 0, KIND_UNCONSUMED = 1, KIND_SESSIONS = 3 };

static sqlite3 *db;

static void fail(const char *what) {
  fprintf(stderr, "raw_group_commit: %s: %s\n", what, db ? sqlite3_errmsg(db) : "no database");
  exit(1);
}

static void check(int ok, const char *what) {
  if (!ok) fail(what);
}

static void script(const char *sql) { check(sqlite3_exec(db, sql, 0, 0, 0) == SQLITE_OK, sql); }

static sqlite3_stmt *prepared(const char *sql) {
  sqlite3_stmt *statement;
  check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, 0) == SQLITE_OK, sql);
  return statement;
}

/* Ends a statement that has its rows behind it. */
static void done(sqlite3_stmt *statement) {
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {}
  check(code == SQLITE_DONE, sqlite3_sql(statement));
  sqlite3_reset(statement);
}

static void bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, int count) {
  /* zeroblob as in Kassa: a null pointer would bind NULL */
  if (count == 0) sqlite3_bind_zeroblob(statement, index, 0);
  else sqlite3_bind_blob(statement, index, bytes, count, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text) {
  sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static int64_t wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static double seconds_since(struct timespec start) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

/* splitmix64: fast, and good enough for keys that only have to be spread. */
static uint64_t random_state;
static uint64_t random_word(void) {
  uint64_t word = (random_state += 0x9e3779b97f4a7c15u);
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
  return word ^ (word >> 31);
}

static void random_bytes(uint8_t *bytes, int count) {
  for (int i = 0; i < count; i += 8) {
    uint64_t word = random_word();
    memcpy(bytes + i, &word, (size_t)(count - i < 8 ? count - i : 8));
  }
}

static void random_id(uint8_t *id) {
  random_bytes(id, ID);
  id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
  id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

static uint8_t merchant[ID], key[ID], locations[LOCATIONS_MAX][ID], devices[DEVICES_MAX][ID];
static int location_count, device_count;

static void read_ids(void) {
  sqlite3_stmt *keys = prepared("SELECT merchant_id, id FROM api_keys LIMIT 1");
  check(sqlite3_step(keys) == SQLITE_ROW, "there is no API key");
  memcpy(merchant, sqlite3_column_blob(keys, 0), ID);
  memcpy(key, sqlite3_column_blob(keys, 1), ID);
  sqlite3_finalize(keys);
  sqlite3_stmt *places = prepared("SELECT id FROM locations");
  while (sqlite3_step(places) == SQLITE_ROW && location_count < LOCATIONS_MAX)
    memcpy(locations[location_count++], sqlite3_column_blob(places, 0), ID);
  sqlite3_finalize(places);
  check(location_count > 0, "there is no location");
  sqlite3_stmt *phones = prepared("SELECT id FROM devices WHERE deleted_at IS NULL");
  while (sqlite3_step(phones) == SQLITE_ROW && device_count < DEVICES_MAX)
    memcpy(devices[device_count++], sqlite3_column_blob(phones, 0), ID);
  sqlite3_finalize(phones);
}

static sqlite3_stmt *begin, *savepoint, *find_key, *find_location, *live_codes, *insert_enrollment, *count_scope, *insert_listing,
    *count_code, *insert_event, *find_device, *insert_session, *enabled_webhooks, *release, *commit;

static void prepare_all(void) {
  begin = prepared("BEGIN IMMEDIATE");
  savepoint = prepared("SAVEPOINT body");
  find_key = prepared("SELECT 1 FROM api_keys WHERE merchant_id = ? AND id = ? AND revoked_at IS NULL");
  find_location = prepared(
      "SELECT id, merchant_id, name, street_address, street_address2, postal_code, city, country, created_at, "
      "updated_at, version FROM locations WHERE merchant_id = ? AND id = ?");
  live_codes = prepared("SELECT typed_symbols, live FROM live_codes WHERE live > 0");
  insert_enrollment = prepared(
      "INSERT INTO enrollments (id, merchant_id, location_id, metadata, created_at, expires_at, status, version, "
      "device_id, typed_symbols, code_hash, token_hash, sealed_code) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "RETURNING row_id");
  count_scope = prepared(
      "INSERT INTO listing_scopes (merchant_id, kind, location_id, label, total) VALUES (?, ?, ?, ?, 1) "
      "ON CONFLICT (merchant_id, kind, location_id, label) DO UPDATE SET total = total + 1 RETURNING scope_id");
  insert_listing = prepared("INSERT INTO listings (scope_id, created_at, id, row_id) VALUES (?, ?, ?, ?)");
  count_code = prepared(
      "INSERT INTO live_codes (typed_symbols, live) VALUES (?, 1) ON CONFLICT DO UPDATE SET live = live + 1");
  insert_event = prepared(
      "INSERT INTO events (merchant_id, subject_id, sequence, type, at, actor_kind, actor_id, request_id, related_id, "
      "device_id, order_id, failure_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  find_device = prepared(
      "SELECT id, merchant_id, enrollment_id, hardware_id, platform, name, metadata, location_id, created_at, "
      "last_seen_at, key_thumbprint, version FROM devices WHERE merchant_id = ? AND id = ? AND deleted_at IS NULL");
  insert_session = prepared(
      "INSERT INTO sessions (id, merchant_id, device_id, location_id, order_amount, currency, content, "
      "merchant_reference1, created_at, expires_at, status, version, sequence, failed_attempts) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row_id");
  enabled_webhooks = prepared(
      "SELECT id, events FROM webhooks WHERE merchant_id = ? AND disabled_at IS NULL AND deleted_at IS NULL");
  release = prepared("RELEASE body");
  commit = prepared("COMMIT");
}

/* What a list can be narrowed by. */
struct element {
  uint8_t id[ID], location[ID];
  char labels[LABELS_MAX][LABEL];
  int label_count;
  int64_t created_at, row_id;
};

struct enrollment {
  struct element listed;
  char metadata[64];
};

static void make(struct enrollment *enrollment, int64_t created_at) {
  struct element *made = &enrollment->listed;
  int reg = 1 + (int)(random_word() % REGISTERS), store = 1 + (int)(random_word() % STORES);
  random_id(made->id);
  memcpy(made->location, locations[random_word() % (uint64_t)location_count], ID);
  snprintf(enrollment->metadata, sizeof enrollment->metadata, "{\"register\":\"%d\",\"store_id\":\"%d\"}", reg, store);
  made->label_count = 3;
  made->labels[0][0] = 0;
  snprintf(made->labels[1], sizeof made->labels[1], "register:%d", reg);
  snprintf(made->labels[2], sizeof made->labels[2], "store_id:%d", store);
  made->created_at = created_at;
}

static void insert(struct enrollment *enrollment, const char *status, int version, int typed_symbols) {
  struct element *made = &enrollment->listed;
  uint8_t device[ID], code_hash[HASH], token_hash[HASH], sealed[128];
  int is_pending = strcmp(status, "PENDING") == 0, is_consumed = strcmp(status, "CONSUMED") == 0;
  bind_bytes(insert_enrollment, 1, made->id, ID);
  bind_bytes(insert_enrollment, 2, merchant, ID);
  bind_bytes(insert_enrollment, 3, made->location, ID);
  bind_text(insert_enrollment, 4, enrollment->metadata);
  sqlite3_bind_int64(insert_enrollment, 5, made->created_at);
  sqlite3_bind_int64(insert_enrollment, 6, made->created_at + LIFE_MS);
  bind_text(insert_enrollment, 7, status);
  sqlite3_bind_int64(insert_enrollment, 8, version);
  sqlite3_bind_null(insert_enrollment, 9);
  sqlite3_bind_int64(insert_enrollment, 10, typed_symbols);
  for (int i = 11; i <= 13; i++) sqlite3_bind_null(insert_enrollment, i);
  if (is_consumed) {
    random_id(device);
    bind_bytes(insert_enrollment, 9, device, ID);
  }
  if (is_pending) {
    random_bytes(code_hash, HASH);
    random_bytes(token_hash, HASH);
    int sealed_bytes = 12 + (typed_symbols + 1) + 1 + 22 + 16; /* nonce, code, space, token, tag */
    random_bytes(sealed, sealed_bytes);
    bind_bytes(insert_enrollment, 11, code_hash, HASH);
    bind_bytes(insert_enrollment, 12, token_hash, HASH);
    bind_bytes(insert_enrollment, 13, sealed, sealed_bytes);
  }
  check(sqlite3_step(insert_enrollment) == SQLITE_ROW, "insert enrollment");
  made->row_id = sqlite3_column_int64(insert_enrollment, 0);
  done(insert_enrollment);
}

static void list(const struct element *made, int kind) {
  for (int label = 0; label < made->label_count; label++) {
    for (int with_location = 0; with_location < 2; with_location++) {
      bind_bytes(count_scope, 1, merchant, ID);
      sqlite3_bind_int64(count_scope, 2, kind);
      bind_bytes(count_scope, 3, made->location, with_location ? ID : 0);
      bind_text(count_scope, 4, made->labels[label]);
      check(sqlite3_step(count_scope) == SQLITE_ROW, "count scope");
      int64_t scope = sqlite3_column_int64(count_scope, 0);
      done(count_scope);
      sqlite3_bind_int64(insert_listing, 1, scope);
      sqlite3_bind_int64(insert_listing, 2, made->created_at);
      bind_bytes(insert_listing, 3, made->id, ID);
      sqlite3_bind_int64(insert_listing, 4, made->row_id);
      done(insert_listing);
    }
  }
}

static void log_event(
    const struct element *made, int sequence, const char *type, int is_system, const uint8_t *device) {
  bind_bytes(insert_event, 1, merchant, ID);
  bind_bytes(insert_event, 2, made->id, ID);
  sqlite3_bind_int64(insert_event, 3, sequence);
  bind_text(insert_event, 4, type);
  sqlite3_bind_int64(insert_event, 5, made->created_at);
  bind_text(insert_event, 6, is_system ? "system" : "api_key");
  if (is_system) sqlite3_bind_null(insert_event, 7);
  else bind_bytes(insert_event, 7, key, ID);
  bind_text(insert_event, 8, "0f8fad5b-d9cb-469f-a165-70867728950e");
  for (int i = 9; i <= 12; i++) sqlite3_bind_null(insert_event, i);
  if (device) bind_bytes(insert_event, 10, device, ID);
  done(insert_event);
}

/* Reads the live codes and returns the symbols of the next one, as CodeSecurity does with 10,000 attempts a day. */
static int symbols_for_next_code(void) {
  int64_t live = 0;
  while (sqlite3_step(live_codes) == SQLITE_ROW) live += sqlite3_column_int64(live_codes, 1);
  sqlite3_reset(live_codes);
  int symbols = 8;
  while ((live + 1) * 10000 > (int64_t)1 << (5 * symbols - 20)) symbols++;
  return symbols;
}

static void demand_key(void) {
  bind_bytes(find_key, 1, merchant, ID);
  bind_bytes(find_key, 2, key, ID);
  check(sqlite3_step(find_key) == SQLITE_ROW, "find key");
  done(find_key);
}

static void create_enrollment(void) {
  struct enrollment made;
  make(&made, wall_ms());
  done(savepoint);
  demand_key();
  bind_bytes(find_location, 1, merchant, ID);
  bind_bytes(find_location, 2, made.listed.location, ID);
  check(sqlite3_step(find_location) == SQLITE_ROW, "find location");
  for (int column = 0; column < 8; column++) sqlite3_column_bytes(find_location, column);
  done(find_location);
  int symbols = symbols_for_next_code();
  insert(&made, "PENDING", 1, symbols);
  list(&made.listed, KIND_ALL);
  list(&made.listed, KIND_UNCONSUMED);
  sqlite3_bind_int64(count_code, 1, symbols);
  done(count_code);
  log_event(&made.listed, 1, "enrollment.created", 0, 0);
  done(release);
}

/* What the server reads from a row it has found. */
static void read_columns(sqlite3_stmt *statement) {
  for (int column = 0; column < sqlite3_column_count(statement); column++) sqlite3_column_bytes(statement, column);
}

static void write_id(char *text, const uint8_t *id) {
  for (int i = 0; i < ID; i++) text += sprintf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

/* As SessionContentText writes what `sessions.lua` sends. */
static const char session_content[] =
    "{\"order_tax_amount\":48000,\"purchase_started_at\":1705314600000,\"lines\":["
    "{\"type\":\"physical\",\"reference\":\"SKU-001\",\"name\":\"T-Shirt\",\"quantity\":2,\"unit_price\":100000,"
    "\"total_amount\":200000,\"total_discount_amount\":0,\"tax_rate\":2500,\"total_tax_amount\":40000},"
    "{\"type\":\"physical\",\"reference\":\"SKU-002\",\"name\":\"Socks\",\"quantity\":1,\"unit_price\":40000,"
    "\"total_amount\":40000,\"total_discount_amount\":0,\"tax_rate\":2500,\"total_tax_amount\":8000}]}";

static void create_session(void) {
  static int64_t order;
  struct element made;
  const uint8_t *device = devices[random_word() % (uint64_t)device_count];
  char device_text[40], reference[48];
  random_id(made.id);
  made.created_at = wall_ms();
  done(savepoint);
  demand_key();
  bind_bytes(find_device, 1, merchant, ID);
  bind_bytes(find_device, 2, device, ID);
  check(sqlite3_step(find_device) == SQLITE_ROW, "find device");
  read_columns(find_device);
  memcpy(made.location, sqlite3_column_blob(find_device, 7), ID);
  done(find_device);
  write_id(device_text, device);
  snprintf(reference, sizeof reference, "ORDER-%08lld-%08lld", (long long)(made.created_at / 1000 % 100000000),
           (long long)++order);
  made.label_count = 4;
  made.labels[0][0] = 0;
  snprintf(made.labels[1], LABEL, "device:%s", device_text);
  snprintf(made.labels[2], LABEL, "status:CREATED");
  snprintf(made.labels[3], LABEL, "reference:%s", reference);
  bind_bytes(insert_session, 1, made.id, ID);
  bind_bytes(insert_session, 2, merchant, ID);
  bind_bytes(insert_session, 3, device, ID);
  bind_bytes(insert_session, 4, made.location, ID);
  sqlite3_bind_int64(insert_session, 5, 240000);
  bind_text(insert_session, 6, "SEK");
  bind_text(insert_session, 7, session_content);
  bind_text(insert_session, 8, reference);
  sqlite3_bind_int64(insert_session, 9, made.created_at);
  sqlite3_bind_int64(insert_session, 10, made.created_at + SESSION_LIFE_MS);
  bind_text(insert_session, 11, "CREATED");
  sqlite3_bind_int64(insert_session, 12, 1);
  sqlite3_bind_int64(insert_session, 13, 1);
  sqlite3_bind_int64(insert_session, 14, 0);
  check(sqlite3_step(insert_session) == SQLITE_ROW, "insert session");
  made.row_id = sqlite3_column_int64(insert_session, 0);
  done(insert_session);
  list(&made, KIND_SESSIONS);
  log_event(&made, 1, "session.created", 0, device);
  bind_bytes(enabled_webhooks, 1, merchant, ID);
  done(enabled_webhooks);
  done(release);
}

static int run(void (*create_one)(void), int64_t batch, int64_t count, double seconds) {
  script("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;"
         "PRAGMA foreign_keys = ON");
  prepare_all();
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  int64_t written = 0, commits = 0;
  while (written < count && seconds_since(start) < seconds) {
    done(begin);
    for (int64_t i = 0; i < batch && written < count; i++, written++) create_one();
    done(commit);
    commits++;
  }
  double took = seconds_since(start);
  printf("{\"writes\": %lld, \"commits\": %lld, \"seconds\": %.6f}\n", (long long)written, (long long)commits, took);
  return 0;
}

/* The scopes that `fill` met, by kind, place and label. A row is in a dozen of them, and their totals are written once. */
static struct scope {
  int64_t id, more;
} scopes[2][LOCATIONS_MAX + 1][1 + REGISTERS + STORES];

static struct scope *scope_of(int kind, int place, const char *label) {
  int index = 0, number = 0;
  if (sscanf(label, "register:%d", &number) == 1) index = number;
  else if (sscanf(label, "store_id:%d", &number) == 1) index = REGISTERS + number;
  return &scopes[kind][place][index];
}

static void list_quickly(const struct element *made, int kind) {
  int place = 0;
  while (memcmp(locations[place], made->location, ID) != 0) place++;
  for (int label = 0; label < made->label_count; label++) {
    for (int with_location = 0; with_location < 2; with_location++) {
      struct scope *scope = scope_of(kind, with_location ? place + 1 : 0, made->labels[label]);
      if (scope->id) {
        scope->more++;
      } else {
        bind_bytes(count_scope, 1, merchant, ID);
        sqlite3_bind_int64(count_scope, 2, kind);
        bind_bytes(count_scope, 3, made->location, with_location ? ID : 0);
        bind_text(count_scope, 4, made->labels[label]);
        check(sqlite3_step(count_scope) == SQLITE_ROW, "count scope");
        scope->id = sqlite3_column_int64(count_scope, 0);
        done(count_scope);
      }
      sqlite3_bind_int64(insert_listing, 1, scope->id);
      sqlite3_bind_int64(insert_listing, 2, made->created_at);
      bind_bytes(insert_listing, 3, made->id, ID);
      sqlite3_bind_int64(insert_listing, 4, made->row_id);
      done(insert_listing);
    }
  }
}

static void write_totals(void) {
  sqlite3_stmt *add = prepared("UPDATE listing_scopes SET total = total + ? WHERE scope_id = ?");
  for (struct scope *scope = &scopes[0][0][0]; scope < &scopes[0][0][0] + sizeof scopes / sizeof *scope; scope++) {
    if (!scope->more) continue;
    sqlite3_bind_int64(add, 1, scope->more);
    sqlite3_bind_int64(add, 2, scope->id);
    done(add);
  }
  sqlite3_finalize(add);
}

/* The rows as they are after their lives: redeemed (and no longer in the list of the unconsumed) or expired. */
static int fill(int64_t from, int64_t count, int64_t start_ms) {
  script("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -524288");
  prepare_all();
  done(begin);
  for (int64_t i = from; i < from + count; i++) {
    struct enrollment made;
    int is_consumed = random_word() % 10 < 6;
    make(&made, start_ms + i * STEP_MS);
    insert(&made, is_consumed ? "CONSUMED" : "EXPIRED", 2, 10);
    list_quickly(&made.listed, KIND_ALL);
    if (!is_consumed) list_quickly(&made.listed, KIND_UNCONSUMED);
    log_event(&made.listed, 1, "enrollment.created", 0, 0);
    log_event(&made.listed, 2, is_consumed ? "enrollment.consumed" : "enrollment.expired", !is_consumed, 0);
    if (i % 10000 == 9999) {
      done(commit);
      done(begin);
    }
  }
  write_totals();
  done(commit);
  script("PRAGMA wal_checkpoint(TRUNCATE)");
  return 0;
}

#define COLUMNS \
  "id, merchant_id, location_id, metadata, created_at, expires_at, status, version, device_id, typed_symbols, code_hash, " \
  "token_hash, sealed_code"
static const char find_scope_sql[] =
    "SELECT scope_id, total FROM listing_scopes WHERE merchant_id = ? AND kind = ? AND location_id = ? AND label = ?";
static const char page_sql[] =
    "SELECT " COLUMNS " FROM enrollments WHERE row_id IN (SELECT row_id FROM listings AS l WHERE scope_id = ? "
    "ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?) ORDER BY created_at DESC, id DESC";
static const char get_sql[] = "SELECT " COLUMNS " FROM enrollments WHERE merchant_id = ? AND id = ?";

static void print_id(const uint8_t *id, const char *before) {
  printf("%s\"", before);
  for (int i = 0; i < ID; i++) printf("%02x", id[i]);
  printf("\"");
}

/* Like the server: each read a transaction, on statements that are prepared once. */
static int read_rows(const char *what, const char *argument, double seconds) {
  enum { PAGE = 20 };
  uint8_t found[PAGE][ID], wanted[ID] = {0};
  int is_page = strcmp(what, "page") == 0, rows = 0;
  script("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536");
  sqlite3_stmt *start_read = prepared("BEGIN DEFERRED"), *end_read = prepared("COMMIT");
  sqlite3_stmt *find_scope = prepared(find_scope_sql), *page = prepared(page_sql), *get = prepared(get_sql);
  for (int i = 0; !is_page && i < ID; i++) {
    unsigned byte;
    check(sscanf(argument + 2 * i, "%2x", &byte) == 1, "the id has not 32 hexadecimal digits");
    wanted[i] = (uint8_t)byte;
  }
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  int64_t reads = 0;
  for (; reads % 64 != 0 || seconds_since(start) < seconds; reads++) {
    sqlite3_stmt *statement = is_page ? page : get;
    done(start_read);
    if (is_page) {
      bind_bytes(find_scope, 1, merchant, ID);
      sqlite3_bind_int64(find_scope, 2, KIND_ALL);
      bind_bytes(find_scope, 3, 0, 0);
      bind_text(find_scope, 4, argument);
      check(sqlite3_step(find_scope) == SQLITE_ROW, "find scope");
      sqlite3_bind_int64(page, 1, sqlite3_column_int64(find_scope, 0));
      sqlite3_column_int64(find_scope, 1);
      done(find_scope);
      sqlite3_bind_int64(page, 2, PAGE + 1);
      sqlite3_bind_int64(page, 3, 0);
    } else {
      bind_bytes(get, 1, merchant, ID);
      bind_bytes(get, 2, wanted, ID);
    }
    int code;
    for (rows = 0; (code = sqlite3_step(statement)) == SQLITE_ROW; rows++) {
      read_columns(statement);
      if (rows < PAGE) memcpy(found[rows], sqlite3_column_blob(statement, 0), ID);
    }
    check(code == SQLITE_DONE, sqlite3_sql(statement));
    sqlite3_reset(statement);
    done(end_read);
  }
  printf("{\"reads\": %lld, \"seconds\": %.6f, \"ids\": [", (long long)reads, seconds_since(start));
  for (int i = 0; i < rows && i < PAGE; i++) print_id(found[i], i ? ", " : "");
  printf("]}\n");
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "statements") == 0) {
    printf("[\"%s\", \"%s\", \"%s\"]\n", find_scope_sql, page_sql, get_sql);
    return 0;
  }
  int is_run = argc == 7 && strcmp(argv[1], "run") == 0, is_fill = argc == 6 && strcmp(argv[1], "fill") == 0;
  int is_read = argc == 6 && strcmp(argv[1], "read") == 0;
  int is_sessions = is_run && strcmp(argv[2], "sessions") == 0;
  if (!is_fill && !is_read && !is_sessions && !(is_run && strcmp(argv[2], "enrollments") == 0)) {
    fprintf(stderr, "usage: raw_group_commit run enrollments|sessions DATABASE BATCH COUNT SECONDS\n"
                    "       raw_group_commit fill DATABASE FROM COUNT START_MS\n"
                    "       raw_group_commit read page|get DATABASE LABEL|ID SECONDS\n"
                    "       raw_group_commit statements\n");
    return 2;
  }
  char **arguments = is_run || is_read ? argv + 3 : argv + 2;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  check(sqlite3_open_v2(arguments[0], &db, flags, 0) == SQLITE_OK, arguments[0]);
  sqlite3_busy_timeout(db, 5000);
  random_state = (uint64_t)wall_ms() ^ (is_fill ? (uint64_t)atoll(arguments[1]) << 32 : 0);
  read_ids();
  check(!is_sessions || device_count > 0, "there is no device");
  int64_t second = atoll(arguments[1]), third = atoll(arguments[2]);
  int code = is_read  ? read_rows(argv[2], arguments[1], atof(arguments[2]))
             : is_run ? run(is_sessions ? create_session : create_enrollment, second, third, atof(arguments[3]))
                      : fill(second, third, atoll(arguments[3]));
  check(sqlite3_close_v2(db) == SQLITE_OK, "close");
  return code;
}
