#include "common/progress.h"
#include "common/output.h"
#include <math.h>
#include <unistd.h>

double progress_pause(void)
{
    return isatty(STDOUT_FILENO) ? 0.25 : 5.0;
}

void progress_show(const progress *p)
{
    static const char done[] = "########################", rest[] = "........................";
    const int width = sizeof done - 1, filled = (int)(width * p->window / p->windows);
    if (isatty(STDOUT_FILENO))
        say("\repoch %lld [%.*s%.*s] loss %.4f  %.3f bits/char  %.0f chars/s  %.0f:%02d left \033[K",
            p->epoch, filled, done, width - filled, rest, p->loss, bits(p->loss), p->rate,
            floor(p->left / 60), (int)fmod(p->left, 60));
    else
        say("epoch %lld window %lld/%lld loss %.4f bits/char %.3f chars/s %.0f left %.0fs\n", p->epoch,
            p->window, p->windows, p->loss, bits(p->loss), p->rate, p->left);
}

void progress_clear(void)
{
    if (isatty(STDOUT_FILENO))
        say("\r\033[K");
}

void progress_keep(void)
{
    if (isatty(STDOUT_FILENO))
        say("\n");
}

double bits(double nats)
{
    return nats / log(2.0);
}
