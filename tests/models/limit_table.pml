/* SPDX-License-Identifier: Apache-2.0
 * Copyright the Sluice authors
 *
 * dataplane/limit/table.cc: charge() and merge_duplicates() of one key by several workers in one
 * set, beside an entry of another client that ends at any moment. A worker may die at any step.
 *
 * Times are counted in intervals and `now` is 0, so an entry's time is its debt. Loads of time and
 * tag are two steps, in this order (they may be torn); a compare-and-swap is one.
 *
 * Shown: no charge is lost or counted twice, what is admitted stays within the burst plus one for
 * each further worker that met the fresh key, and without a death one entry remains.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef CHARGES
#define CHARGES 2
#endif
#ifndef BURST
#define BURST 2
#endif
#ifndef MERGE
#define MERGE 1 /* 0: without merging, to see the model fail */
#endif
#define WAYS 3
#define KEY 1
#define OTHER 2
#define NONE 255

byte tag[WAYS], debt[WAYS];
byte admitted = 0, limited = 0, crowded = 0, deaths = 0, taken = 0, ended = 0;

inline swap(way, old_tag, old_debt, new_tag, new_debt, ok) {
  d_step {
    if
    :: tag[way] == old_tag && debt[way] == old_debt ->
       tag[way] = new_tag; debt[way] = new_debt; ok = true
    :: else -> ok = false
    fi
  }
}

proctype worker() {
  byte way, place, seen_tag, seen_debt, t, d, moved, target, round;
  bool found, ok, first;
  round = 0;
  do
  :: round == CHARGES -> goto done
  :: round < CHARGES ->
scan:
    if :: goto done_dead :: skip fi;
    place = NONE; found = false; way = 0;
    do
    :: way == WAYS || found -> break
    :: else ->
      d = debt[way];
      t = tag[way];
      if
      :: t == KEY -> place = way; seen_tag = t; seen_debt = d; found = true
      :: t != KEY && place == NONE && d == 0 -> place = way; seen_tag = t; seen_debt = d
      :: else
      fi;
      way++
    od;
    if
    :: place == NONE -> crowded++; goto next
    :: else
    fi;
    if
    :: found && seen_debt + 1 > BURST ->
       swap(place, seen_tag, seen_debt, seen_tag, seen_debt, ok);
       if :: ok -> limited++; goto next :: else -> goto scan fi
    :: else
    fi;
    d_step {
      if
      :: tag[place] == seen_tag && debt[place] == seen_debt ->
         tag[place] = KEY;
         debt[place] = (found -> seen_debt + 1 : 1);
         admitted++; ok = true
      :: else -> ok = false
      fi
    }
    if :: !ok -> goto scan :: else fi;
    if :: found || !MERGE -> goto next :: else fi;
    /* merge_duplicates */
    if :: goto done_dead :: skip fi;
    first = true; way = 0;
    do
    :: way == WAYS -> break
    :: else ->
      t = tag[way];
      d = debt[way];
      if
      :: t != KEY -> goto next_way
      :: t == KEY && first -> first = false; goto next_way
      :: else
      fi;
take:
      skip;
      d_step {
        if
        :: tag[way] == t && debt[way] == d ->
           tag[way] = 0; debt[way] = 0; taken = taken + d; ok = true
        :: else -> ok = false; t = tag[way]; d = debt[way]
        fi
      }
      if
      :: !ok && t == KEY -> goto take
      :: !ok && t != KEY -> goto next_way
      :: else
      fi;
      if :: goto done_dead :: skip fi;
      moved = d; target = 0;
      do
      :: target == WAYS || moved == 0 -> break
      :: else ->
        d_step {
          if
          :: tag[target] == KEY ->
             debt[target] = debt[target] + moved; taken = taken - moved; moved = 0
          :: else -> target++
          fi
        }
      od;
next_way:
      if :: goto done_dead :: skip fi;
      way++
    od;
next:
    round++
  od;
done_dead:
  deaths++;
done:
  ended++
}

/* The other client's entry runs out at some moment. */
proctype other_client() { debt[0] = 0 }

init {
  byte way, sum, entries;
  atomic {
    tag[0] = OTHER; debt[0] = 1;
    run other_client();
    byte n = 0;
    do :: n < WORKERS -> run worker(); n++ :: n == WORKERS -> break od
  }
  ended == WORKERS;
  d_step {
    sum = 0; entries = 0; way = 0;
    do
    :: way < WAYS ->
      if :: tag[way] == KEY -> sum = sum + debt[way]; entries++ :: else fi;
      way++
    :: way == WAYS -> break
    od
  }
  /* Every admitted request is owed somewhere: in an entry, or in what a dead worker had taken. */
  assert(sum + taken == admitted);
  assert(admitted <= BURST * (1 + deaths) + WORKERS - 1 + deaths);
  assert(deaths > 0 || (entries <= 1 && taken == 0));
  assert(crowded == 0)
}
