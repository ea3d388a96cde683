# The libraries that clseq stands on, as targets clseq_opencl, clseq_clblast, clseq_cjson and clseq_xxhash. Also
# installed: the package configuration includes this same file. A missing CLBlast or cJSON is an error only where clseq
# itself is built; a program that links the shared library needs neither. xxHash is compiled in: no program needs it.
#
# pkg-config is asked first. A CUDA toolkit brings an OpenCL library and headers of its own, and find_package would
# take those on a machine that has both.
find_package(PkgConfig QUIET)
find_package(Threads REQUIRED)

# clseq_find(TARGET PC_NAME HEADER LIBRARY)
function(clseq_find target pc_name header library)
    if(TARGET ${target})
        return()
    endif()
    string(TOUPPER ${target} id)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(${id}_PC QUIET IMPORTED_TARGET GLOBAL ${pc_name})
    endif()
    if(${id}_PC_FOUND)
        add_library(${target} INTERFACE IMPORTED GLOBAL)
        target_link_libraries(${target} INTERFACE PkgConfig::${id}_PC)
        set(${id}_REQUIRES ${pc_name} PARENT_SCOPE)
        return()
    endif()
    find_path(${id}_INCLUDE_DIR ${header})
    find_library(${id}_LIBRARY ${library})
    mark_as_advanced(${id}_INCLUDE_DIR ${id}_LIBRARY)
    if(${id}_INCLUDE_DIR AND ${id}_LIBRARY)
        add_library(${target} INTERFACE IMPORTED GLOBAL)
        target_include_directories(${target} INTERFACE ${${id}_INCLUDE_DIR})
        target_link_libraries(${target} INTERFACE ${${id}_LIBRARY})
        set(${id}_LIBS -l${library} PARENT_SCOPE)
    endif()
endfunction()

clseq_find(clseq_opencl OpenCL CL/cl.h OpenCL)
clseq_find(clseq_clblast clblast clblast_c.h clblast)
clseq_find(clseq_cjson libcjson cjson/cJSON.h cjson)

if(CMAKE_CURRENT_LIST_DIR STREQUAL "${PROJECT_SOURCE_DIR}/host")
    clseq_find(clseq_xxhash libxxhash xxhash.h xxhash)
    foreach(dependency "clseq_opencl;ocl-icd-opencl-dev" "clseq_clblast;libclblast-dev" "clseq_cjson;libcjson-dev"
            "clseq_xxhash;libxxhash-dev")
        list(GET dependency 0 target)
        list(GET dependency 1 package)
        if(NOT TARGET ${target})
            string(REPLACE "clseq_" "" name ${target})
            message(FATAL_ERROR "clseq needs the library ${name} with its headers (Debian package ${package})")
        endif()
    endforeach()
endif()
