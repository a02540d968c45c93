/* SPDX-License-Identifier: Apache-2.0
 * Copyright the Sluice authors
 *
 * dataplane/rules/collections.cc: change() and read() of one slot by several workers and a reader,
 * with copies of pages that are made word by word. A worker may die at any step; the next process
 * then finds the spare pages by the slot's word alone.
 *
 * A page is two words that a change sets to the same count; the slot's word is {version, page}.
 * Loads and stores of a page's words are a step each; the compare-and-swap of the slot is one.
 *
 * Shown: whoever takes a copy for good has seen both words alike (no text is torn), each change
 * that its worker saw done counts once, one that died may count or not, and every live worker's
 * spare page is no other's and not the slot's.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef VALIDATE
#define VALIDATE 1 /* 0: copies are not looked at again, to see the model fail */
#endif
#define PAGES (WORKERS + 1)

byte first[PAGES], second[PAGES]; /* the words of each page */
byte slot_page = 0, slot_version = 0;
byte spare[WORKERS];
byte done = 0, ended = 0;

/* A copy of the slot's page and whether it holds. */
inline snapshot(page, version, a, b, good) {
  d_step { page = slot_page; version = slot_version }
  a = first[page];
  b = second[page];
  good = !VALIDATE || (slot_page == page && slot_version == version);
  if
  :: good -> assert(a == b)
  :: else
  fi
}

proctype worker(byte me) {
  byte page, version, a, b, round = 0;
  bool good, swapped;
  do
  :: round == CHANGES -> break
  :: round < CHANGES ->
again:
    if :: goto dead :: skip fi;
    snapshot(page, version, a, b, good);
    if :: !good -> goto again :: else fi;
    first[spare[me]] = a + 1;
    if :: goto dead :: skip fi;
    second[spare[me]] = a + 1;
    if :: goto dead :: skip fi;
    d_step {
      if
      :: slot_page == page && slot_version == version ->
         slot_page = spare[me]; slot_version++;
         spare[me] = page; swapped = true; done++
      :: else -> swapped = false
      fi
    }
    if :: !swapped -> goto again :: else fi;
    round++
  od;
  goto finish;
dead:
  skip;
finish:
  ended++
}

proctype reader() {
  byte page, version, a, b, round = 0;
  bool good;
  do
  :: round == 2 -> break
  :: else -> snapshot(page, version, a, b, good); round++
  od
}

init {
  byte n = 0;
  atomic {
    do
    :: n < WORKERS -> spare[n] = n + 1; run worker(n); n++
    :: n == WORKERS -> break
    od;
    run reader()
  }
  ended == WORKERS;
  assert(first[slot_page] == done && second[slot_page] == done);
  byte i = 0, j;
  do
  :: i == WORKERS -> break
  :: else ->
    assert(spare[i] != slot_page);
    j = 0;
    do
    :: j == i -> break
    :: else -> assert(spare[i] != spare[j]); j++
    od;
    i++
  od
}
