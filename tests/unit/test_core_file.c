/* Files that are replaced as a whole: what may be replaced, what stays of the old one, what dead processes left. */
#include "core/file.h"
#include "support/folder.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[FOLDER_PATH];

static void setup(void)
{
    folder_create(folder);
    cr_assert_eq(chdir(folder), 0); /* so that names are short */
}

static void teardown(void)
{
    folder_remove(folder);
}

TestSuite(core_file, .init = setup, .fini = teardown);

static clseq_status save(const char *path, const char *text)
{
    clseq__file *file = NULL;
    CLSEQ__RETURN_IF(clseq__file_begin(path, &file));
    clseq_status status = clseq__file_write(file, text, strlen(text));
    if (status == CLSEQ_OK)
        return clseq__file_commit(file);
    clseq__file_abandon(file);
    return status;
}

static void must_save(const char *path, const char *text)
{
    cr_assert_eq(save(path, text), CLSEQ_OK, "%s", clseq_last_error());
}

static void holds(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s is not there", path);
    size_t size = fread(found, 1, sizeof found - 1, file);
    fclose(file);
    cr_assert(size == strlen(text) && strcmp(found, text) == 0, "%s holds \"%s\", expected \"%s\"", path,
              found, text);
}

static mode_t mode_of(const char *path)
{
    struct stat facts;
    cr_assert_eq(lstat(path, &facts), 0, "%s is not there", path);
    return facts.st_mode;
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    cr_assert_eq(bind(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    close(descriptor);
}

Test(core_file, what_is_no_regular_file_is_refused)
{
    static const struct {
        const char *path, *says;
    } cases[] = {{"folder", "folder: is a folder"},
                 {"fifo", "fifo: is a pipe"},
                 {"socket", "socket: is a socket"},
                 {"terminal", "terminal: is a character device"},
                 {"to_fifo", "to_fifo: is a pipe"},
                 {"", "the path is empty"},
                 {"none/file", "none/file: cannot create"},
                 {"plain/file", "Not a directory"},
                 {"loop", "symbolic links"}};
    /* A link to a device that nobody misses: with a bug in what is tested, root would replace it. */
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    cr_assert_eq(symlink(ptsname(terminal), "terminal"), 0);
    mkdir("folder", 0755);
    cr_assert_eq(mkfifo("fifo", 0644), 0);
    make_socket("socket");
    cr_assert_eq(symlink("fifo", "to_fifo"), 0);
    cr_assert_eq(symlink("loop", "loop"), 0);
    must_save("plain", "1");
    const mode_t fifo = mode_of("fifo"), link = mode_of("to_fifo");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_expect_eq(save(cases[i].path, "x"), CLSEQ_IO_ERROR, "\"%s\"", cases[i].path);
        cr_expect(strstr(clseq_last_error(), cases[i].says), "said \"%s\", expected \"%s\"",
                  clseq_last_error(), cases[i].says);
    }
    cr_assert(mode_of("fifo") == fifo && mode_of("to_fifo") == link);
    close(terminal);
    cr_assert_eq(folder_count(".", "", NULL), 7, "something was left behind");
}

Test(core_file, a_link_is_followed_and_stays)
{
    mkdir("a", 0755);
    mkdir("b", 0755);
    must_save("a/old", "old");
    cr_assert_eq(symlink("old", "a/link"), 0);
    cr_assert_eq(symlink("../a/link", "b/chain"), 0);
    must_save("b/chain", "new");
    holds("a/old", "new");
    cr_assert(S_ISLNK(mode_of("a/link")) && S_ISLNK(mode_of("b/chain")) && S_ISREG(mode_of("a/old")));
    cr_assert_eq(symlink("../a/later", "b/dangling"), 0);
    must_save("b/dangling", "made");
    holds("a/later", "made");
    cr_assert(S_ISLNK(mode_of("b/dangling")) && S_ISREG(mode_of("a/later")));
    char whole[2 * FOLDER_PATH];
    snprintf(whole, sizeof whole, "%s/a/old", folder);
    cr_assert_eq(symlink(whole, "absolute"), 0);
    must_save("absolute", "again");
    holds("a/old", "again");
}

Test(core_file, the_mode_of_a_file_stays)
{
    static const mode_t modes[] = {0600, 0640, 0664, 0444, 0777};
    const mode_t old = umask(022);
    must_save("file", "0");
    cr_assert_eq(mode_of("file") & 07777, 0644, "a new file has what the umask leaves");
    umask(077);
    must_save("closed", "0");
    cr_assert_eq(mode_of("closed") & 07777, 0600);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        cr_assert_eq(chmod("file", modes[i]), 0);
        must_save("file", "1");
        cr_assert_eq(mode_of("file") & 07777, modes[i], "mode %o became %o", modes[i],
                     mode_of("file") & 07777);
    }
    umask(old);
}

Test(core_file, the_owner_of_a_file_stays)
{
    struct stat facts;
    if (geteuid() != 0)
        cr_skip_test("only root gives files away");
    must_save("file", "0");
    cr_assert_eq(chown("file", 1234, 2345), 0);
    must_save("file", "1");
    cr_assert_eq(stat("file", &facts), 0);
    cr_assert(facts.st_uid == 1234 && facts.st_gid == 2345);
}

static atomic_bool over;

/* Makes private files, as the umask says, and returns how many were not. */
static void *make_private_files(void *data)
{
    int *wrong = data;
    while (!atomic_load(&over)) {
        struct stat facts;
        int descriptor = open("private", O_CREAT | O_EXCL | O_RDWR, 0666);
        if (descriptor < 0 || fstat(descriptor, &facts) != 0)
            break;
        *wrong += (facts.st_mode & 0777) != 0600;
        close(descriptor);
        unlink("private");
    }
    return NULL;
}

Test(core_file, the_umask_of_other_threads_is_left_alone)
{
    pthread_t thread;
    int wrong = 0;
    umask(077);
    cr_assert_eq(pthread_create(&thread, NULL, make_private_files, &wrong), 0);
    for (int i = 0; i < 2000; i++) {
        clseq__file *file = NULL;
        cr_assert_eq(clseq__file_begin("file", &file), CLSEQ_OK, "%s", clseq_last_error());
        clseq__file_abandon(file);
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    cr_assert_eq(wrong, 0, "%d files of another thread could be read by everybody", wrong);
}

Test(core_file, what_a_killed_process_left_goes_and_what_a_living_one_has_stays)
{
    int ready[2];
    char byte = 0;
    clseq__file *living = NULL;
    cr_assert_eq(pipe(ready), 0);
    must_save("file", "0");
    const pid_t child = fork();
    if (child == 0) {
        clseq__file *file = NULL;
        if (clseq__file_begin("file", &file) != CLSEQ_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    cr_assert_eq(folder_count(".", "", NULL), 2);
    must_save("file", "1");
    cr_assert_eq(folder_count(".", "", NULL), 2, "the file of a living process was deleted");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert_eq(folder_count(".", "", NULL), 2);
    folder_write_text(".", "file.backup", "mine");
    folder_write_text(".", "file.clseq-mine", "mine");
    folder_write_text(".", "elif.clseq-0123abcd", "of another file");
    cr_assert_eq(clseq__file_begin("file", &living), CLSEQ_OK);
    must_save("file", "2");
    cr_assert_eq(folder_count(".", "", NULL), 5,
                 "expected the file, three others and the one that is written");
    clseq__file_abandon(living);
    holds("file", "2");
    holds("file.clseq-mine", "mine");
    holds("elif.clseq-0123abcd", "of another file");
}

Test(core_file, a_rewrite_changes_what_was_written)
{
    clseq__file *file = NULL;
    cr_assert_eq(clseq__file_begin("file", &file), CLSEQ_OK);
    cr_assert_eq(clseq__file_write(file, "0123456", 7), CLSEQ_OK);
    cr_assert_eq(clseq__file_rewrite(file, 2, "ab", 2), CLSEQ_OK);
    cr_assert_eq(clseq__file_write(file, "7", 1), CLSEQ_OK);
    cr_assert_eq(clseq__file_commit(file), CLSEQ_OK);
    holds("file", "01ab4567");
}
