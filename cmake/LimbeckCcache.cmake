# ccache speeds up every second build. Precompiled headers need its sloppiness settings, which a
# configuration file of the build tree provides so that nobody has to set variables.
find_program(LIMBECK_CCACHE ccache)
if(LIMBECK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${LIMBECK_CCACHE})
endif()
