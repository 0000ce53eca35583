/*
 * An example: answers each line that it is given, "yes EPOCH" while it may act as primary, "no" otherwise. A line "work" is work
 * that takes time: it says "begun EPOCH", and answers when the next line comes.
 *
 *     cc -std=c11 -O2 -o may_act may_act.c
 *     UNDERSTUDY_ROLE_PAGE=/run/understudy/role/tserver-1 ./may_act
 *
 * A real program calls understudy_acts_in() before the work, which it does in the name of that epoch, and again last, right
 * before its answer: if that is another epoch, or no, the work was for nothing.
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
        uint64_t begun_in, epoch;
        int may_act = understudy_acts_in(&page, &begun_in);
        if (may_act && strcmp(line, "work\n") == 0) {
            printf("begun %" PRIu64 "\n", begun_in);
            fflush(stdout);
            if (fgets(line, sizeof line, stdin) == NULL)
                break;
        }
        if (may_act && understudy_acts_in(&page, &epoch) && epoch == begun_in)
            printf("yes %" PRIu64 "\n", begun_in);
        else
            printf("no\n");
        fflush(stdout);
    }
    understudy_page_close(&page);
    return 0;
}
