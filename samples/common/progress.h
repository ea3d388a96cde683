/* Where a training run stands: a bar on a terminal, plain lines in a pipe. */
#ifndef CLSEQ_SAMPLES_PROGRESS_H
#define CLSEQ_SAMPLES_PROGRESS_H

typedef struct progress {
    long long epoch, window, windows; /* of the epoch: the first is 1; the windows that are done, and all */
    double loss;                      /* in nats a character */
    double rate;                      /* characters a second */
    double left;                      /* seconds */
} progress;

/* Seconds between two reports. */
double progress_pause(void);

void progress_show(const progress *p);

/* Before other lines: takes the bar off the terminal, or leaves it there and begins a new line. */
void progress_clear(void);
void progress_keep(void);

/* Nats to bits. */
double bits(double nats);

#endif
