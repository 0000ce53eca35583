/*
 * An example: answers each line that it is given, "yes EPOCH" while it may act as primary, "no" otherwise.
 *
 *     cc -std=c11 -O2 -o may_act may_act.c
 *     UNDERSTUDY_ROLE_PAGE=/run/understudy/role/tserver-1 ./may_act
 *
 * A real program does what it was asked to do, and calls understudy_acts_in() last, right before its answer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>

#include "understudy.h"

int main(void)
{
    understudy_page page;
    char line[256];
    int problem = understudy_page_open(&page, NULL);
    if (problem != UNDERSTUDY_OK) {
        fprintf(stderr, "%s\n", understudy_problem(problem));
        return problem;
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint64_t epoch;
        if (understudy_acts_in(&page, &epoch))
            printf("yes %" PRIu64 "\n", epoch);
        else
            printf("no\n");
        fflush(stdout);
    }
    understudy_page_close(&page);
    return 0;
}
