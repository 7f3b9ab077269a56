/* What a real agent runs: about 100 bytes, different every time. */
#include <stdio.h>
#include <time.h>

int main(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("OK - it was %ld.%09ld when this was asked, and there is nothing else to be said of this machine now\n",
           (long)now.tv_sec, now.tv_nsec);
    return 0;
}
