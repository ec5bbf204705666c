// What inspect tells of files that people pass around.
#include <gmock/gmock.h>

#include "core/data/inspect.hpp"
#include "core/io/png.hpp"
#include "tests/data/custom_sources.hpp"

namespace gauntlet::data {
namespace {

using testing::HasSubstr;
using testing_support::Hdf5Writer;
using testing_support::TempFolder;
namespace mat5 = testing_support::mat5;

TEST(InspectSource, TellsContainersArraysAndWhatTheyAreTakenFor) {
  const TempFolder folder;
  const MadePairs pairs;
  pairs.write_iall(folder / "any.name");
  const auto facts = inspect(folder / "any.name");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ((*facts)["kind"], "source");
  EXPECT_EQ((*facts)["family"], "TA-DCH / EQB2A line (n fastest)");
  EXPECT_EQ((*facts)["n_rows"], 8);
  EXPECT_EQ(
      (*facts)["roles"]["images"],
      Json::parse(R"({"array": "IAll", "axes": "whcn", "as_meant": {"n": 8, "h": 4, "w": 6, "c": 3}})"));
  const Json& file = (*facts)["files"][0];
  EXPECT_EQ(file["container"], "MAT v7.3 (HDF5)");
  const Json& labels = file["arrays"][1];
  EXPECT_EQ(labels["name"], "LAll");
  EXPECT_EQ(labels["type"], "f64");
  EXPECT_EQ(labels["shape"], (Json{3, 8}));
  EXPECT_EQ(labels["matlab_size"], (Json{8, 3}));
  EXPECT_EQ(
      labels["values"],
      Json::parse(
          R"({"min": 0.0, "max": 1.0, "mean": 0.3333333333333333, "n_not_finite": 0, "n_looked_at": 24})"));
}

TEST(InspectSource, TellsStringsAndWhatIsRefused) {
  const TempFolder folder;
  folder.write("src/a.mat", mat5::file({mat5::chars("index", {"im1.jpg", "im2.jpg"}),
                                        mat5::matrix("s", mat5::kSparse, {2, 2}, "")}));
  folder.write("src/notes", "hello\n");
  const auto facts = inspect(folder / "src");
  ASSERT_TRUE(facts) << facts.error().message;
  const Json& arrays = (*facts)["files"][0]["arrays"];
  EXPECT_EQ(arrays[0]["n_texts"], 2);
  EXPECT_EQ(arrays[0]["first_texts"], (Json{"im1.jpg", "im2.jpg"}));
  EXPECT_EQ(arrays[1]["refused"], "is sparse; save it as full(…)");
  EXPECT_EQ((*facts)["other_files"], Json{"notes"});
  EXPECT_THAT((*facts)["problem"].get<std::string>(), HasSubstr("no array is known as labels by its key"));
}

TEST(InspectSource, ASheetShowsThePicturesAsTheAxesAreMeant) {
  const TempFolder folder;
  const MadePairs pairs;
  pairs.write_iall(folder / "a.mat");
  const std::int64_t rows[] = {3};
  const SheetOptions options{.n_columns = 1, .cell_px = 4, .captions = false};
  ASSERT_TRUE(sheet_of_source(folder / "a.mat", "", rows, folder / "sheet.png", options));
  const auto sheet = io::read_png(folder / "sheet.png");
  ASSERT_TRUE(sheet);
  const std::size_t at =
      static_cast<std::size_t>(((8 + 2) * sheet->width + 8 + 5) * 3 + 1);  // y 2, x 5, green
  EXPECT_EQ(sheet->pixels[at], MadePairs::pixel(3, 2, 5, 1));
  const std::int64_t beyond[] = {8};
  EXPECT_EQ(sheet_of_source(folder / "a.mat", "", beyond, folder / "no.png").error().message,
            "there is no row 8; allowed: 0 to 7");
}

}  // namespace
}  // namespace gauntlet::data
