# cmake -D library=libclseq.so -D version=MAJOR.MINOR.PATCH -D nm=NM -D objdump=OBJDUMP -P tests/exports.cmake
#
# The shared library defines every function that a public header declares, and shows nothing else. Its name for the
# loader has the part of the version that a change of the interface raises: the major, while that is 0 the minor.
cmake_minimum_required(VERSION 3.20)
get_filename_component(root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
execute_process(COMMAND ${nm} -D --defined-only ${library} OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "[0-9a-f]+ [A-Z] ([^\n]*)\n" "\\1;" exported "${lines}")

set(declared "")
file(GLOB headers ${root}/include/clseq/*.h)
foreach(header IN LISTS headers)
    file(READ ${header} text)
    string(REGEX MATCHALL "CLSEQ_API [^;(]*clseq_[a-z0-9_]+\\(" declarations "${text}")
    foreach(declaration IN LISTS declarations)
        string(REGEX REPLACE ".*[^a-z0-9_](clseq_[a-z0-9_]+)\\(" "\\1" name "${declaration}")
        list(APPEND declared ${name})
    endforeach()
endforeach()

set(missing ${declared})
list(REMOVE_ITEM missing ${exported} "")
list(REMOVE_ITEM exported ${declared} "")
list(LENGTH declared count)
message(STATUS "${count} public functions")
if(count EQUAL 0 OR missing OR exported)
    message(FATAL_ERROR "declared but not defined: ${missing}\nshown but not declared: ${exported}")
endif()

execute_process(COMMAND ${objdump} -p ${library} OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCH "SONAME +([^\n]*)" soname "${headers}")
string(REGEX MATCH "^(0\\.[0-9]+|[1-9][0-9]*)" expected "${version}")
if(expected STREQUAL "" OR NOT soname MATCHES " libclseq\\.so\\.${expected}$")
    message(FATAL_ERROR "\"${soname}\", expected libclseq.so.${expected}")
endif()
