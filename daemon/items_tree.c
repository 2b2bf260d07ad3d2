/* The orders of the items: treaps whose nodes know for whom their subtree holds nothing. */
#include "daemon/items_internal.h"

uint32_t pmp_items_bit(uint32_t person) {
  return person >= 1 && person <= PMP_ITEMS_BITS ? person - 1 : PMP_ITEMS_BITS;
}

static int compare_place(const struct item *a, const struct item *b) {
  if (a->ref.chunk != b->ref.chunk) return a->ref.chunk < b->ref.chunk ? -1 : 1;
  if (a->ref.row != b->ref.row) return a->ref.row < b->ref.row ? -1 : 1;
  return 0;
}

/* Does a come before b? */
static bool less(const struct item *a, const struct item *b, int order) {
  if (order == PMP_ITEMS_LEAST_LABELLED && a->labels != b->labels) return a->labels < b->labels;
  if (order == PMP_ITEMS_MOST_UNCERTAIN && a->score != b->score) return a->score > b->score;
  return compare_place(a, b) < 0;
}

/* The random order needs no treap: the three are told by where they are kept. */
static int of_link(int k) {
  static const int order[PMP_ITEMS_ORDERS] = {PMP_ITEMS_OLDEST, PMP_ITEMS_LEAST_LABELLED,
                                              PMP_ITEMS_MOST_UNCERTAIN};
  return order[k];
}

static int link_of(int order) {
  return order == PMP_ITEMS_LEAST_LABELLED ? 1 : order == PMP_ITEMS_MOST_UNCERTAIN ? 2 : 0;
}

static void pull(struct pmp_items *x, int k, uint32_t n) {
  struct item *item = x->item;
  struct link *l = &item[n].link[k];
  for (int w = 0; w < PMP_ITEMS_WORDS; w++) {
    uint64_t all = item[n].own.word[w];
    if (l->left) all &= item[l->left].link[k].all.word[w];
    if (l->right) all &= item[l->right].link[k].all.word[w];
    l->all.word[w] = all;
  }
}

static bool goes_left(const struct pmp_items *x, int k, uint32_t n, uint32_t root) {
  return less(&x->item[n], &x->item[root], of_link(k));
}

/* Those before n into *l, those after it into *r. */
static void split(struct pmp_items *x, int k, uint32_t root, uint32_t n, uint32_t *l, uint32_t *r) {
  if (root == 0) {
    *l = *r = 0;
    return;
  }
  struct link *at = &x->item[root].link[k];
  if (goes_left(x, k, n, root)) {
    split(x, k, at->left, n, l, &at->left);
    *r = root;
  } else {
    split(x, k, at->right, n, &at->right, r);
    *l = root;
  }
  pull(x, k, root);
}

static uint32_t merge(struct pmp_items *x, int k, uint32_t a, uint32_t b) {
  if (a == 0 || b == 0) return a ? a : b;
  uint32_t top = x->item[a].priority > x->item[b].priority ? a : b;
  struct link *at = &x->item[top].link[k];
  if (top == a)
    at->right = merge(x, k, at->right, b);
  else
    at->left = merge(x, k, a, at->left);
  pull(x, k, top);
  return top;
}

static uint32_t insert(struct pmp_items *x, int k, uint32_t root, uint32_t n) {
  if (root == 0 || x->item[n].priority > x->item[root].priority) {
    struct link *at = &x->item[n].link[k];
    split(x, k, root, n, &at->left, &at->right);
    pull(x, k, n);
    return n;
  }
  struct link *at = &x->item[root].link[k];
  if (goes_left(x, k, n, root))
    at->left = insert(x, k, at->left, n);
  else
    at->right = insert(x, k, at->right, n);
  pull(x, k, root);
  return root;
}

static uint32_t erase(struct pmp_items *x, int k, uint32_t root, uint32_t n) {
  if (root == 0) return 0; /* not there: a bug that the tests look for */
  struct link *at = &x->item[root].link[k];
  if (root == n) return merge(x, k, at->left, at->right);
  if (goes_left(x, k, n, root))
    at->left = erase(x, k, at->left, n);
  else
    at->right = erase(x, k, at->right, n);
  pull(x, k, root);
  return root;
}

static void touch(struct pmp_items *x, int k, uint32_t root, uint32_t n) {
  if (root == 0) return;
  if (root != n) {
    const struct link *at = &x->item[root].link[k];
    touch(x, k, goes_left(x, k, n, root) ? at->left : at->right, n);
  }
  pull(x, k, root);
}

void pmp_items_tree_in(struct pmp_items *x, int order, uint32_t n) {
  const int k = link_of(order);
  x->root[k] = insert(x, k, x->root[k], n);
}

void pmp_items_tree_out(struct pmp_items *x, int order, uint32_t n) {
  const int k = link_of(order);
  x->root[k] = erase(x, k, x->root[k], n);
}

void pmp_items_tree_insert(struct pmp_items *x, uint32_t n) {
  for (int k = 0; k < PMP_ITEMS_ORDERS; k++) x->root[k] = insert(x, k, x->root[k], n);
}

void pmp_items_tree_erase(struct pmp_items *x, uint32_t n) {
  for (int k = 0; k < PMP_ITEMS_ORDERS; k++) x->root[k] = erase(x, k, x->root[k], n);
}

void pmp_items_tree_touch(struct pmp_items *x, uint32_t n) {
  for (int k = 0; k < PMP_ITEMS_ORDERS; k++) touch(x, k, x->root[k], n);
}

/* First of a subtree without the bit. */
static uint32_t first(const struct pmp_items *x, int k, uint32_t root, uint32_t bit) {
  while (root && !pmp_mask_has(&x->item[root].link[k].all, bit)) {
    const struct link *at = &x->item[root].link[k];
    if (at->left && !pmp_mask_has(&x->item[at->left].link[k].all, bit))
      root = at->left;
    else if (!pmp_mask_has(&x->item[root].own, bit))
      return root;
    else
      root = at->right;
  }
  return 0;
}

static uint32_t first_after(const struct pmp_items *x, int k, uint32_t root, uint32_t bit,
                            uint32_t n) {
  if (root == 0 || pmp_mask_has(&x->item[root].link[k].all, bit)) return 0;
  const struct link *at = &x->item[root].link[k];
  if (root == n) return first(x, k, at->right, bit);
  if (!goes_left(x, k, n, root)) return first_after(x, k, at->right, bit, n);
  const uint32_t found = first_after(x, k, at->left, bit, n);
  if (found) return found;
  return pmp_mask_has(&x->item[root].own, bit) ? first(x, k, at->right, bit) : root;
}

uint32_t pmp_items_tree_first(const struct pmp_items *x, int order, uint32_t bit, uint32_t n) {
  const int k = link_of(order);
  return n == 0 ? first(x, k, x->root[k], bit) : first_after(x, k, x->root[k], bit, n);
}

uint32_t pmp_items_tree_before(const struct pmp_items *x, uint64_t chunk, uint32_t row) {
  const struct item key = {.ref = {.chunk = chunk, .row = row}};
  uint32_t found = 0;
  for (uint32_t root = x->root[0]; root;) {
    const bool later = compare_place(&x->item[root], &key) > 0;
    if (!later) found = root;
    root = later ? x->item[root].link[0].left : x->item[root].link[0].right;
  }
  return found;
}

uint32_t pmp_items_tree_after(const struct pmp_items *x, uint64_t chunk, uint32_t row) {
  const struct item key = {.ref = {.chunk = chunk, .row = row}};
  uint32_t found = 0;
  for (uint32_t root = x->root[0]; root;) {
    const bool earlier = compare_place(&x->item[root], &key) < 0;
    if (!earlier) found = root;
    root = earlier ? x->item[root].link[0].right : x->item[root].link[0].left;
  }
  return found;
}
