/* SPDX-License-Identifier: Apache-2.0
 * Copyright the Sluice authors
 *
 * Rules over shared memory (docs/abi.md): sluiced announces generations, the dataplane's main
 * thread copies, verifies, makes one current and frees old ones; workers observe the current one at
 * the top of each poll and pin it while a transaction lasts. Either process may die at any step and
 * start again: the daemon announces what it last wrote, a dataplane starts from the generation on
 * disk.
 *
 * Shown: no worker ever uses a freed or half-copied generation, no slot is reused while someone
 * may look at it, nothing live is lost by any death, and (the end states being reached) the newest
 * announced generation becomes current.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PUSHES
#define PUSHES 3
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef WAIT_FOR_OBSERVERS
#define WAIT_FOR_OBSERVERS 1 /* 0: to see the model fail */
#endif
#define SLOTS 2
#define FREE 0
#define FILLING 255

byte written = 0;        /* newest image in place (file, rename) */
byte announced = 0;      /* control segment */
byte on_disk = 0;        /* newest accepted */
byte slot[SLOTS];        /* generation in it, FREE or FILLING */
byte current = 255;      /* index of the live slot; 255: none */
byte observed[WORKERS];  /* index of the slot that a worker looks at; 255: none */
byte pinned[WORKERS];    /* slot pinned by its transaction; 255: none */
byte daemon_deaths = 0, dataplane_deaths = 0, epoch = 0;
bool pushed_all = false;

active proctype daemon() {
  byte next;
again:
  do
  :: written < PUSHES ->
     next = written + 1;
     if :: daemon_deaths < DEATHS -> daemon_deaths++; goto again :: skip fi;
     written = next;          /* the image is complete before its name appears */
     if :: daemon_deaths < DEATHS -> daemon_deaths++; announced = written; goto again :: skip fi;
     announced = next
  :: written == PUSHES -> break
  od;
  announced = written;
  pushed_all = true
}

proctype worker(byte me; byte my_epoch) {
  byte mine;
  do
  :: my_epoch != epoch -> break   /* the process is gone */
  :: else ->
    atomic {
      if
      :: my_epoch != epoch -> goto gone
      :: else -> mine = current; observed[me] = mine
      fi
    }
    if
    :: mine == 255
    :: mine != 255 ->
       atomic {
         if
         :: my_epoch != epoch -> goto gone
         :: else -> assert(slot[mine] != FREE && slot[mine] != FILLING)
         fi
       }
       if
       :: atomic { pinned[me] == 255 && my_epoch == epoch -> pinned[me] = mine }
       :: atomic {
            pinned[me] != 255 && my_epoch == epoch ->
            assert(slot[pinned[me]] != FREE && slot[pinned[me]] != FILLING);
            pinned[me] = 255
          }
       :: skip
       fi
    fi;
    if
    :: pushed_all && current != 255 && slot[current] == PUSHES && observed[me] == current &&
       pinned[me] == 255 -> break
    :: else
    fi
  od;
gone:
  skip
}

active proctype main_thread() {
  byte want, at, old, i;
  bool busy;
start:
  /* a new process: its memory is empty, the generation on disk is loaded before workers run */
  atomic {
    epoch++;
    i = 0;
    do :: i < SLOTS -> slot[i] = FREE; i++ :: i == SLOTS -> break od;
    i = 0;
    do :: i < WORKERS -> observed[i] = 255; pinned[i] = 255; i++ :: i == WORKERS -> break od;
    current = 255;
    if :: on_disk != 0 -> slot[0] = on_disk; current = 0 :: else fi;
    i = 0;
    do :: i < WORKERS -> run worker(i, epoch); i++ :: i == WORKERS -> break od
  }
  do
  :: dataplane_deaths < DEATHS -> dataplane_deaths++; goto start
  :: announced != 0 && (current == 255 || announced != slot[current]) ->
     want = announced;
     /* a slot that nobody uses */
     at = 255; i = 0;
     do :: i < SLOTS -> if :: slot[i] == FREE && at == 255 -> at = i :: else fi; i++
        :: i == SLOTS -> break od;
     if
     :: at != 255 ->
        slot[at] = FILLING;
        slot[at] = want;                  /* copied and verified */
        atomic { old = current; current = at; on_disk = want }
     :: else -> skip                      /* full: reclaim below, then again */
     fi
  :: else ->
     /* reclaim: a slot that is not current, which every worker has left, and no pin holds */
     i = 0;
     do
     :: i == SLOTS -> break
     :: else ->
        if
        :: slot[i] != FREE && i != current ->
           atomic {
             byte w = 0;
             busy = false;
             do
             :: w < WORKERS ->
                if
                :: WAIT_FOR_OBSERVERS && (observed[w] == i || pinned[w] == i) -> busy = true
                :: else
                fi;
                w++
             :: w == WORKERS -> break
             od
           }
           if :: !busy -> slot[i] = FREE :: else fi
        :: else
        fi;
        i++
     od;
     if
     :: pushed_all && current != 255 && slot[current] == PUSHES && announced == PUSHES -> break
     :: else
     fi
  od;
  assert(slot[current] == written)
}
