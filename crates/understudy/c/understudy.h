/*
 * May this process act as primary? The role page of Understudy, for C and C++.
 *
 * This header is all there is: no library, no allocation, no lock. It needs Linux, 64 bits, and a compiler with the __atomic
 * built-ins (GCC 4.7, Clang 3.1 or later). The layout of a page is in docs/protocols/role-page.md.
 *
 *     static understudy_page page;
 *
 *     int main(void)
 *     {
 *         int problem = understudy_page_open(&page, NULL);
 *         if (problem != UNDERSTUDY_OK)
 *             return fprintf(stderr, "%s\n", understudy_problem(problem)), 1;
 *         ...
 *         uint64_t begun_in, epoch;
 *         if (!understudy_acts_in(&page, &begun_in)) {
 *             refuse();
 *         } else {
 *             // the work first, with the epoch that it is begun in on everything that outlives it; ask then, and answer at once
 *             do_the_work(begun_in);
 *             if (understudy_acts_in(&page, &epoch) && epoch == begun_in)
 *                 acknowledge(begun_in);
 *             else
 *                 refuse();
 *         }
 *     }
 *
 * What may be concluded from "yes": at one instant during the call nobody else was allowed to act as primary of this pair,
 * even if this process slept for hours before. It proves nothing about any later instant, as a process can be stopped
 * between the call and its answer: whatever outlives the answer should check the epoch as a fencing token.
 *
 * A yes in another epoch than the work was begun in is no yes to that work: somebody else may have acted between the two. So
 * work is tagged with the epoch that was asked for before it, never with one that is asked for after it.
 *
 * A page must stay open in the process that asks. After fork() it is still there; after exec() it is opened again.
 */
#ifndef UNDERSTUDY_H
#define UNDERSTUDY_H

/* Of less than 64 bits a machine may load eight bytes with an instruction that also stores, which ends a program that only reads
 * its page; or under a lock of its own process, which the agent does not know of. */
#if !defined(__SIZEOF_POINTER__) || __SIZEOF_POINTER__ < 8 || !defined(__GCC_ATOMIC_LLONG_LOCK_FREE) \
    || __GCC_ATOMIC_LLONG_LOCK_FREE != 2
#error "understudy.h needs a 64-bit machine with lock-free loads of eight bytes"
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef CLOCK_BOOTTIME
#define CLOCK_BOOTTIME 7
#endif
#ifndef O_CLOEXEC
#error "define _GNU_SOURCE, or _POSIX_C_SOURCE as 200809L, before anything is included"
#endif
#ifndef O_NOFOLLOW
#define O_NOFOLLOW 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* How understudy_page_open() ended. */
enum understudy_problem {
    UNDERSTUDY_OK = 0,
    UNDERSTUDY_NOT_NAMED,   /* no path was given, and UNDERSTUDY_ROLE_PAGE is not set: there is no page to ask */
    UNDERSTUDY_NOT_OPEN,    /* it is missing, or may not be read; errno says more */
    UNDERSTUDY_NOT_MAPPED,  /* the system would not map it; errno says more */
    UNDERSTUDY_NO_PAGE,     /* what lies there is no role page, or is not written to its end */
    UNDERSTUDY_VERSION,     /* a page of another version: agent and application must fit */
    UNDERSTUDY_OTHER_CLOCK  /* written in another boot or another time namespace: its expiry means nothing here */
};

/* How often a page that is being written is looked at again, before the answer is no. */
enum { UNDERSTUDY_TRIES = 128 };

/* An open page. All zeros is a page that is not open, and says no. Any number of threads may ask at once. */
typedef struct understudy_page {
    const uint64_t *words;
} understudy_page;

/* What a page says. */
typedef struct understudy_standing {
    uint64_t run_mode; /* 1 is primary */
    uint64_t epoch;    /* the fencing token */
    uint64_t until;    /* nanoseconds of CLOCK_BOOTTIME; UINT64_MAX runs out never */
} understudy_standing;

/* A sentence about a problem; never NULL. */
static inline const char *understudy_problem(int problem)
{
    switch (problem) {
    case UNDERSTUDY_OK: return "the role page is open";
    case UNDERSTUDY_NOT_NAMED: return "UNDERSTUDY_ROLE_PAGE is not set: this is no member of a pair, or its agent has no pages";
    case UNDERSTUDY_NOT_OPEN: return "the role page cannot be opened";
    case UNDERSTUDY_NOT_MAPPED: return "the role page cannot be mapped";
    case UNDERSTUDY_NO_PAGE: return "what UNDERSTUDY_ROLE_PAGE names is no role page";
    case UNDERSTUDY_VERSION: return "the role page has another version than this program reads";
    case UNDERSTUDY_OTHER_CLOCK: return "the role page was written in another boot or another time namespace";
    default: return "no such problem";
    }
}

/* The first sixteen hexadecimal digits of this boot's identity; 0 if it cannot be read. */
static inline uint64_t understudy_own_boot(void)
{
    char text[40] = { 0 };
    uint64_t number = 0;
    int digits = 0;
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    for (ssize_t at = 0; at < length && digits < 16; at++) {
        char c = text[at];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0)
            continue;
        number = number << 4 | (uint64_t)value;
        digits++;
    }
    return digits == 16 ? number : 0;
}

/* The number of this process's time namespace; 0 if the system has none. */
static inline uint64_t understudy_own_namespace(void)
{
    struct stat found;
    return stat("/proc/self/ns/time", &found) == 0 ? (uint64_t)found.st_ino : 0;
}

/* Opens and checks the page at `path`, or the one that UNDERSTUDY_ROLE_PAGE names if `path` is NULL. UNDERSTUDY_OK, or what
 * is wrong; then nothing is open and `page` says no. */
static inline int understudy_page_open(understudy_page *page, const char *path)
{
    struct stat found;
    const uint64_t *words;
    void *mapped;
    int file, error;

    page->words = NULL;
    if (path == NULL)
        path = getenv("UNDERSTUDY_ROLE_PAGE");
    if (path == NULL || *path == '\0')
        return UNDERSTUDY_NOT_NAMED;
    file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return UNDERSTUDY_NOT_OPEN;
    if (fstat(file, &found) != 0 || !S_ISREG(found.st_mode) || found.st_size < 64) {
        close(file);
        return UNDERSTUDY_NO_PAGE;
    }
    mapped = mmap(NULL, 64, PROT_READ, MAP_SHARED, file, 0);
    error = errno;
    close(file);
    errno = error;
    if (mapped == MAP_FAILED)
        return UNDERSTUDY_NOT_MAPPED;
    words = (const uint64_t *)mapped;

    uint64_t magic = __atomic_load_n(&words[0], __ATOMIC_ACQUIRE);
    uint64_t form = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
    uint64_t boot = __atomic_load_n(&words[2], __ATOMIC_RELAXED);
    uint64_t space = __atomic_load_n(&words[3], __ATOMIC_RELAXED);
    uint64_t own_boot = understudy_own_boot(), own_space = understudy_own_namespace();
    uint32_t halves[2]; /* version, length */
    int problem = UNDERSTUDY_OK;
    memcpy(halves, &form, sizeof halves);
    if (memcmp(&magic, "USTYROLE", sizeof magic) != 0)
        problem = UNDERSTUDY_NO_PAGE;
    else if (halves[0] != 1 || halves[1] != 64)
        problem = UNDERSTUDY_VERSION;
    else if ((boot && own_boot && boot != own_boot) || (space && own_space && space != own_space))
        problem = UNDERSTUDY_OTHER_CLOCK;
    if (problem != UNDERSTUDY_OK) {
        munmap(mapped, 64);
        return problem;
    }
    page->words = words;
    return UNDERSTUDY_OK;
}

/* Closes a page. No thread may ask it any more, or until it is opened again. */
static inline void understudy_page_close(understudy_page *page)
{
    if (page->words != NULL)
        munmap((void *)(uintptr_t)page->words, 64);
    page->words = NULL;
}

/* What the page says, whether that has expired or not. 1, or 0 if it was being written at every try, or is not open. */
static inline int understudy_read(const understudy_page *page, understudy_standing *says)
{
    const uint64_t *words = page->words;
    if (words == NULL)
        return 0;
    for (int tries = 0; tries < UNDERSTUDY_TRIES; tries++) {
        uint64_t before = __atomic_load_n(&words[4], __ATOMIC_ACQUIRE);
        if (before & 1)
            continue;
        says->run_mode = __atomic_load_n(&words[5], __ATOMIC_RELAXED);
        says->epoch = __atomic_load_n(&words[6], __ATOMIC_RELAXED);
        says->until = __atomic_load_n(&words[7], __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&words[4], __ATOMIC_RELAXED) == before)
            return 1;
    }
    return 0;
}

/* Whether this member may act as primary, and if so in which epoch. 1 or 0; `epoch` may be NULL, and is set only with 1. */
static inline int understudy_acts_in(const understudy_page *page, uint64_t *epoch)
{
    understudy_standing says;
    struct timespec now;
    if (!understudy_read(page, &says) || says.run_mode != 1)
        return 0;
    /* The clock last: asleep between page and clock, the answer is no; asleep the other way round it would be yes. */
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return 0;
    if ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec >= says.until)
        return 0;
    if (epoch != NULL)
        *epoch = says.epoch;
    return 1;
}

/* Whether this member may act as primary. 1 or 0. It does not say in which epoch: for an answer to work that was begun earlier, and
 * for everything that is tagged with an epoch, there is understudy_acts_in(). */
static inline int understudy_may_act(const understudy_page *page)
{
    return understudy_acts_in(page, NULL);
}

/* The epoch that the page names, whoever may act in it and whether it expired; 0 if there is none or it cannot be read.
 * For showing it only. It is no fencing token: that is what understudy_acts_in() gave before the work was begun. */
static inline uint64_t understudy_epoch(const understudy_page *page)
{
    understudy_standing says;
    return understudy_read(page, &says) ? says.epoch : 0;
}

#ifdef __cplusplus
}
#endif

#endif
