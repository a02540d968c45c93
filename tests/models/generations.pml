/* SPDX-License-Identifier: Apache-2.0
 * Copyright the Sluice authors
 *
 * Rules over shared memory (docs/abi.md): sluiced stores an image, announces it, and notes on disk
 * what the dataplane answers; the dataplane's main thread copies, verifies, makes one current and
 * frees old ones; workers observe the current one at the top of each poll and pin it while a
 * transaction lasts. Either process may die at any step and start again. A daemon that died goes on
 * with the next push: what it had not announced is nobody's. Of a dataplane that died nothing is
 * left, wherever it was, so that one place for its death stands for all; the next one starts from
 * the generation on disk and then takes what is announced.
 *
 * Shown: no worker ever uses a freed or half-copied generation, no slot is reused while someone
 * may look at it, what is on disk was announced before, and (the end states being reached) the
 * newest announced generation becomes current, whoever died where.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PUSHES
#define PUSHES 3
#endif
#ifndef DAEMON_DEATHS
#define DAEMON_DEATHS 1
#endif
#ifndef DATAPLANE_DEATHS
#define DATAPLANE_DEATHS 1
#endif
#ifndef WAIT_FOR_OBSERVERS
#define WAIT_FOR_OBSERVERS 1 /* 0: to see the model fail */
#endif
#define SLOTS 2
#define FREE 0
#define FILLING 255

byte written = 0;        /* newest image in place (file, rename) */
byte announced = 0;      /* control segment */
byte on_disk = 0;        /* what the daemon has noted as live */
byte slot[SLOTS];        /* generation in it, FREE or FILLING */
byte current = 255;      /* index of the live slot; 255: none */
byte observed[WORKERS];  /* index of the slot that a worker looks at; 255: none */
byte pinned[WORKERS];    /* slot pinned by its transaction; 255: none */
byte daemon_deaths = 0, dataplane_deaths = 0, epoch = 0;
bool pushed_all = false;

#define LIVE(number) (current != 255 && slot[current] == number)

active proctype daemon() {
again:
  do
  :: written < PUSHES ->
     written++;               /* the image is complete before its name appears */
     if :: daemon_deaths < DAEMON_DEATHS -> daemon_deaths++; goto again :: skip fi;
     announced = written;
     if :: daemon_deaths < DAEMON_DEATHS -> daemon_deaths++; goto again :: skip fi;
     if
     :: LIVE(written) ->
        if :: daemon_deaths < DAEMON_DEATHS -> daemon_deaths++; goto again :: skip fi;
        on_disk = written
     :: skip                  /* no answer in time: it stays announced */
     fi
  :: written == PUSHES -> break
  od;
  pushed_all = true
}

proctype worker(byte me; byte my_epoch) {
  byte mine = 255;
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
    mine = 255;
    if
    :: pushed_all && LIVE(announced) && observed[me] == current && pinned[me] == 255 -> break
    :: else
    fi
  od;
gone:
  skip
}

active proctype main_thread() {
  byte want, at, i, w;
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
    do :: i < WORKERS -> run worker(i, epoch); i++ :: i == WORKERS -> break od;
    i = 0; want = 0; at = 0; w = 0; busy = false
  }
  do
  :: dataplane_deaths < DATAPLANE_DEATHS -> dataplane_deaths++; goto start
  :: announced != 0 && (current == 255 || announced != slot[current]) ->
     d_step {                             /* a slot that nobody uses: looks at its own alone */
       want = announced;
       at = 255; i = 0;
       do :: i < SLOTS -> if :: slot[i] == FREE && at == 255 -> at = i :: else fi; i++
          :: i == SLOTS -> break od;
       i = 0
     }
     if
     :: at != 255 ->
        slot[at] = FILLING;
        slot[at] = want;                  /* copied and verified */
        d_step { current = at; at = 0; want = 0 }
     :: else -> goto reclaim              /* full: then again */
     fi
  :: else ->
reclaim:
     /* a slot that is not current, which every worker has left, and no pin holds */
     skip;
     d_step { at = 0; want = 0; i = 0 }
     do
     :: i == SLOTS -> i = 0; break
     :: i < SLOTS && (slot[i] == FREE || i == current) -> i++
     :: i < SLOTS && slot[i] != FREE && i != current ->
        d_step {
          w = 0; busy = false;
          do
          :: w < WORKERS ->
             if
             :: WAIT_FOR_OBSERVERS && (observed[w] == i || pinned[w] == i) -> busy = true
             :: else
             fi;
             w++
          :: w == WORKERS -> break
          od;
          w = 0
        }
        if
        :: !busy -> d_step { slot[i] = FREE; i++ }
        :: else -> d_step { busy = false; i++ }
        fi
     od;
     if
     :: pushed_all && LIVE(announced) -> break
     :: else
     fi
  od;
  assert(announced > 0 && slot[current] == announced && on_disk <= announced)
}
